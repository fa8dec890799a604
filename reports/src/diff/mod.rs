//! What differs between two sides, as text, and stacks as a picture.

use hostdiag_model::diff::{Changes, Comparison, Doubt, Side, Verdict, Which};

use crate::page::{Ink, Page, Style, count};

pub(crate) mod counts;
pub(crate) mod latency;
pub(crate) mod number;
mod offload;
pub(crate) mod stacks;
pub mod svg;
pub(crate) mod values;

/// How a comparison is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Every row, not the largest alone.
    pub all: bool,
    /// Colours.
    pub style: Style,
}

impl Options {
    /// Most rows of a table.
    fn rows(self) -> usize {
        if self.all { usize::MAX } else { 20 }
    }
}

/// The whole comparison: what follows first.
pub fn text(comparison: &Comparison, options: Options) -> String {
    let mut page = Page::new(options.style);
    side(&mut page, "A", &comparison.a);
    side(&mut page, "B", &comparison.b);
    result(&mut page, comparison);
    for doubt in &comparison.doubts {
        page.put("note    ").line(&doubt_words(doubt));
    }
    if comparison.changes.is_empty() {
        return page.finish();
    }
    page.put("\n");
    match &comparison.changes {
        Changes::Counts(counts) => counts::text(&mut page, counts, options),
        Changes::Latency(latency) => latency::text(&mut page, latency, options, latency::Of::Durations),
        Changes::Distribution(latency) => latency::text(&mut page, latency, options, latency::Of::Values),
        Changes::Values(values) => values::text(&mut page, values, options),
        Changes::Stacks(stacks) => stacks::text(&mut page, stacks, options),
        Changes::Offload(offload) => offload::text(&mut page, offload, options),
    }
    page.finish()
}

/// What is to be done next, for stderr; nothing where nothing differs.
pub fn next(comparison: &Comparison) -> Option<String> {
    let why = format!("Why   hostdiag explain {}", comparison.verdict.as_str());
    match comparison.verdict {
        Verdict::Same => None,
        Verdict::Indicative | Verdict::Inconclusive => {
            Some(format!("Sure   hostdiag diff A1 A2 A3 --to B1 B2 B3     {why}"))
        }
        _ => Some(why),
    }
}

/// `A  jessie.hd   web17  Linux 4.9.43   4951 calls in 10.0 s, 12 lost`.
fn side(page: &mut Page, name: &str, side: &Side) {
    let mut parts = vec![match side.files.as_slice() {
        [first, rest @ ..] if !rest.is_empty() => format!("{first} and {} more", rest.len()),
        files => files.join(" "),
    }];
    if let Some(host) = side.host.as_ref().filter(|host| !side.files.contains(&host.name)) {
        parts.push(host.name.clone());
        parts.extend(host.kernel.as_ref().map(|kernel| format!("Linux {kernel}")));
    }
    let events = side.events.map(|events| count(events as usize, "event"));
    let time = side.recorded_ms.map(|ms| format!("in {:.1} s", ms as f64 / 1000.0));
    let lost = (side.lost > 0).then(|| format!("{} lost", side.lost));
    let counted: Vec<String> = events.into_iter().chain(time).chain(lost).collect();
    parts.push(counted.join(" "));
    parts.retain(|part| !part.is_empty());
    page.ink(Ink::Bold, name).put("  ").line(&parts.join("   "));
}

fn result(page: &mut Page, comparison: &Comparison) {
    let verdict = comparison.verdict;
    let ink = match verdict {
        Verdict::Regressed | Verdict::Differs | Verdict::Invalid => Ink::Red,
        Verdict::Indicative | Verdict::Inconclusive => Ink::Yellow,
        Verdict::Same | Verdict::Improved => Ink::Green,
    };
    page.put("RESULT  ").ink(ink, verdict.as_str()).put(": ").line(because(comparison));
}

/// What a verdict means, as a clause.
pub(crate) fn because(comparison: &Comparison) -> &'static str {
    match comparison.verdict {
        Verdict::Same if comparison.changes.is_empty() => "no differences",
        Verdict::Same => "no difference that matters",
        Verdict::Inconclusive => "no difference is certain, and one that matters is not ruled out",
        Verdict::Indicative => "it differs by more than such runs do; 1 recording a side proves no more",
        Verdict::Improved => "B has less, by more than chance",
        Verdict::Regressed => "B has more, by more than chance",
        Verdict::Differs => "features that work on one side do not on the other",
        Verdict::Invalid => "nothing follows",
    }
}

/// A doubt as a clause.
pub(crate) fn doubt_words(doubt: &Doubt) -> String {
    let name = |which: &Which| if *which == Which::A { "A" } else { "B" };
    match doubt {
        Doubt::Lost(which) => format!("more than 5 % of the events of {} were lost", name(which)),
        Doubt::Empty(which) => format!("{} has no events", name(which)),
        Doubt::Partial(which) => format!("a recording of {} was cut off", name(which)),
        Doubt::Filter => "one side counts certain processes or CPUs alone, the other does not".into(),
        Doubt::Alone(which, names) => {
            let some: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
            let more = names.len() - some.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("traced on {} alone, and left out: {}{more}", name(which), some.join(", "))
        }
    }
}

/// How many names only match because of what they are compared by.
fn renamed(page: &mut Page, renamed: usize) {
    if renamed > 0 {
        page.line(&renamed_words(renamed));
    }
}

pub(crate) fn renamed_words(renamed: usize) -> String {
    format!("{} spelt otherwise on the other side", names(renamed))
}

fn names(number: usize) -> String {
    if number == 1 { "1 name is".into() } else { format!("{number} names are") }
}

/// A table: names to the left, figures to the right, the last column to the left.
fn table(page: &mut Page, head: &[&str], rows: &[Vec<String>]) {
    let columns = head.len();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut line = |cells: &[&str]| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            match column {
                0 => text += &format!("{cell:width$}"),
                _ if column + 1 == columns => text += &format!("   {cell}"),
                _ => text += &format!("  {cell:>width$}"),
            }
        }
        page.line(text.trim_end());
    };
    line(head);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// How many rows were left out.
fn left_out(page: &mut Page, all: usize, shown: usize, of: &str) {
    if all > shown {
        page.line(&format!(
            "{} with smaller changes (--all)",
            count(all - shown, of).replacen(' ', " more ", 1)
        ));
    }
}
