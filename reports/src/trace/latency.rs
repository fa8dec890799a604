//! `hostdiag funclatency` as text: log2 histograms, and percentiles under them.

use hostdiag_model::Histogram;
use hostdiag_model::histogram::{Resolution, Unit};
use hostdiag_model::time::TimeOfDay;

use super::duration::duration;
use super::log2::{label, log2};
use super::{Layout, head};
use crate::page::{Ink, Page, Style};

mod window;

pub(crate) use window::title;
pub(super) use window::{block, detaching, tracing};

/// How it is to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// Whose layout.
    pub layout: Layout,
    /// The unit of the histograms that was asked for; without one it is ns in
    /// bcc's layout, and [`unit`] chooses in ours.
    pub unit: Option<Unit>,
    /// Colours.
    pub style: Style,
}

/// What is counted apart from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// A function: `-F`.
    Function(&'a str),
    /// A CPU.
    Cpu(u32),
    /// Processes of a name.
    Comm(&'a str),
    /// A process.
    Pid(u32),
    /// Such a duration of something of this name.
    Of(&'a str, &'a str),
    /// All that had no histogram of their own.
    Other,
}

/// A histogram and what it is of.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// All of these together; none if everything is in one histogram.
    pub keys: Vec<Key<'a>>,
    /// How long calls took.
    pub histogram: &'a Histogram,
}

/// The results of one interval, and what they are of. Ours has an empty line
/// between blocks; between intervals the caller puts one.
pub fn text(time: Option<TimeOfDay>, blocks: &[Block<'_>], form: Form) -> String {
    let mut page = Page::new(form.style);
    head(&mut page, form.layout, time);
    match form.layout {
        Layout::Own => own(&mut page, blocks, form.unit),
        Layout::Bcc => bcc(&mut page, blocks, form.unit.unwrap_or(Unit::Ns)),
    }
    page.finish()
}

/// The coarsest unit in which fewer than one call in a hundred is shorter than 1:
/// all of those are in one row.
pub fn unit(histogram: &Histogram) -> Unit {
    let shortest = histogram.percentile(100).map_or(0, |bounds| bounds.low);
    let fits = |unit: &Unit| shortest >= unit.ns();
    [Unit::Ms, Unit::Us].into_iter().find(fits).unwrap_or(Unit::Ns)
}

/// All blocks together.
fn total(blocks: &[Block<'_>]) -> Histogram {
    let mut total = Histogram::new(Resolution::FINEST);
    blocks.iter().for_each(|block| total.merge(block.histogram));
    total
}

fn own(page: &mut Page, blocks: &[Block<'_>], forced: Option<Unit>) {
    // One unit for all, so that they can be compared.
    let unit = forced.unwrap_or_else(|| unit(&total(blocks)));
    if blocks.is_empty() {
        page.line("no calls");
    }
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            page.put("\n");
        }
        if !block.keys.is_empty() {
            let keys: Vec<String> = block.keys.iter().map(own_key).collect();
            page.ink(Ink::Bold, &keys.join("  ")).put("\n");
        }
        log2(page, &block.histogram.log2(unit), label(unit), Layout::Own);
        page.line(&summary(block.histogram, |ns| duration(*ns), "no calls"));
        let overflow = block.histogram.overflow();
        if overflow > 0 {
            page.line(&format!("{overflow} of them took {} or longer: counted in the last row", limit()));
        }
    }
}

/// From where on durations are not told apart.
fn limit() -> String {
    duration(1 << 40)
}

fn own_key(key: &Key<'_>) -> String {
    match key {
        Key::Function(name) => format!("function {}", one_line(name)),
        Key::Cpu(cpu) => format!("cpu {cpu}"),
        Key::Comm(comm) => format!("comm {}", one_line(comm)),
        Key::Pid(pid) => format!("pid {pid}"),
        Key::Of(what, name) => format!("{what} of {}", one_line(name)),
        Key::Other => "all others together".into(),
    }
}

/// `p50 172 us   p90 1.2 ms   …   n 855`, of nothing what is given.
pub(super) fn summary(histogram: &Histogram, shown: impl Fn(&u64) -> String, none: &str) -> String {
    let percentiles = [(5000, "p50"), (9000, "p90"), (9900, "p99"), (9990, "p99.9")];
    let mut parts: Vec<String> = Vec::new();
    for (hundredths, name) in percentiles {
        let Some(bounds) = histogram.percentile(hundredths) else { return none.into() };
        let open = if bounds.high.is_none() { ">= " } else { "" };
        parts.push(format!("{name} {open}{}", shown(&bounds.middle())));
    }
    parts.extend(histogram.max.map(|max| format!("max {}", shown(&max))));
    parts.extend(histogram.mean().map(|mean| format!("mean {}", shown(&mean))));
    parts.push(format!("n {}", histogram.count()));
    let resolution = histogram.resolution();
    if resolution < Resolution::FINEST {
        parts.push(format!("(percentiles +-{} %)", resolution.error_percent()));
    }
    parts.join("   ")
}

/// bcc names each function above its histogram, and has one mean for all of them
/// below. No call is no text.
fn bcc(page: &mut Page, blocks: &[Block<'_>], unit: Unit) {
    for block in blocks.iter().filter(|block| block.histogram.count() > 0) {
        if !block.keys.is_empty() {
            page.line(&format!("\n{}", bcc_keys(&block.keys)));
        }
        log2(page, &block.histogram.log2(unit), label(unit), Layout::Bcc);
    }
    let total = total(blocks);
    let (sum, count, label) = (total.sum() / unit.ns(), total.count(), label(unit));
    if let Some(average) = sum.checked_div(count) {
        page.line(&format!("\navg = {average} {label}, total: {sum} {label}, count: {count}\n"));
    }
}

/// `Function = malloc [4711]`; what bcc does not have is named likewise.
fn bcc_keys(keys: &[Key<'_>]) -> String {
    let name = |key: &Key<'_>| match key {
        Key::Function(name) => format!("Function = {}", one_line(name)),
        Key::Cpu(cpu) => format!("CPU = {cpu}"),
        Key::Comm(comm) => format!("Comm = {}", one_line(comm)),
        Key::Pid(pid) => format!("PID = {pid}"),
        Key::Of(what, name) => format!("{what} = {}", one_line(name)),
        Key::Other => "(other)".into(),
    };
    match keys {
        [function @ Key::Function(_), Key::Pid(pid)] => format!("{} [{pid}]", name(function)),
        _ => keys.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}

/// A page keeps line feeds.
fn one_line(name: &str) -> String {
    crate::page::harmless(name)
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
