//! How long calls took on both sides: quantiles, and histograms in the same rows.

use hostdiag_model::Histogram;
use hostdiag_model::diff::latency::{Distance, Latencies, Quantile, Row};
use hostdiag_model::histogram::{Resolution, Unit};
use hostdiag_model::trace::Group;

use super::number::{interval, ratio, short};
use super::{Options, left_out, renamed, table};
use crate::page::{Ink, Page};
use crate::trace::duration::duration;
use crate::trace::latency::unit;
use crate::trace::log2::{bar, bounds, label};

/// Width of the bars of each side.
const BARS: usize = 20;

/// What histograms are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Nanoseconds.
    Durations,
    /// Numbers without a unit.
    Values,
}

impl Of {
    fn shown(self, value: Option<u64>) -> String {
        match (value, self) {
            (None, _) => "-".into(),
            (Some(value), Self::Durations) => duration(value),
            (Some(value), Self::Values) => value.to_string(),
        }
    }
}

pub(super) fn text(page: &mut Page, latencies: &Latencies, options: Options, what: Of) {
    // A histogram takes half a screen.
    let most = if options.all { usize::MAX } else { 3 };
    for (index, row) in latencies.rows.iter().take(most).enumerate() {
        if index > 0 {
            page.put("\n");
        }
        of(page, row, what);
    }
    left_out(page, latencies.rows.len(), most, "function");
    renamed(page, latencies.renamed);
}

/// What a row is of; empty where it is of everything.
pub(crate) fn title(row: &Row) -> String {
    let group = row.group.as_ref().map(|group| match group {
        Group::Cpu(cpu) => format!("cpu {cpu}"),
        Group::Comm(comm) => format!("comm {comm}"),
        Group::Pid(pid) => format!("pid {pid}"),
        Group::Other => "all others together".into(),
    });
    let module = row.module.as_ref().map(|module| format!("[{module}]"));
    let title: Vec<String> = row.name.clone().into_iter().chain(module).chain(group).collect();
    title.join(" ")
}

fn of(page: &mut Page, row: &Row, what: Of) {
    page.ink(Ink::Bold, &title(row)).put("  ").line(row.verdict.as_str());
    let mut rows: Vec<Vec<String>> = row.quantiles.iter().map(|one| quantile(one, what).to_vec()).collect();
    rows.push(mean(row, what).to_vec());
    let counts = [row.a.count(), row.b.count()];
    rows.push(vec![
        "n".into(),
        counts[0].to_string(),
        counts[1].to_string(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    table(page, &["", "A", "B", "CHANGE", "95 %", ""], &rows);
    if let Some(distance) = &row.distance {
        page.line(&apart(distance, what));
    }
    histograms(page, row, what);
}

/// Name, A, B, ratio, interval, verdict.
pub(crate) fn quantile(quantile: &Quantile, what: Of) -> [String; 6] {
    let name = match quantile.hundredths {
        whole if whole % 100 == 0 => format!("p{}", whole / 100),
        tenths => format!("p{}.{}", tenths / 100, tenths / 10 % 10),
    };
    let change = quantile.change.as_ref();
    let both = quantile.a.zip(quantile.b);
    let few = if both.is_some() { "too few calls beyond it" } else { "" };
    [
        name,
        what.shown(quantile.a),
        what.shown(quantile.b),
        change.map_or(String::new(), |change| ratio(change.ratio, 0.0, 0.0)),
        change.map_or(String::new(), interval),
        change.map_or(few, |change| change.verdict.as_str()).into(),
    ]
}

/// The same of the mean, of which nothing follows.
pub(crate) fn mean(row: &Row, what: Of) -> [String; 6] {
    let [a, b] = [row.a.mean(), row.b.mean()];
    let change = a.zip(b).filter(|(a, _)| *a > 0).map(|(a, b)| format!("x{}", short(b as f64 / a as f64)));
    let change = change.unwrap_or_default();
    ["mean".into(), what.shown(a), what.shown(b), change, String::new(), String::new()]
}

/// What the distributions say beside their quantiles.
pub(crate) fn apart(distance: &Distance, what: Of) -> String {
    let longer = distance.longer * 100.0;
    let more = if longer < 0.0 { "less" } else { "more" };
    format!(
        "calls moved by {} doublings on the mean; of a call of each, B's is the {} {:.0} % {more} often",
        short(distance.doublings),
        if what == Of::Durations { "longer" } else { "larger" },
        longer.abs()
    )
}

/// Both histograms in one unit and the same rows.
pub(crate) struct Aligned {
    pub(crate) unit: &'static str,
    /// The first and last value of each row, and what A and B have in it.
    pub(crate) rows: Vec<((u64, u64), [u64; 2])>,
    /// The largest of A and of B. Bars are shares of it, so that shapes can be compared whatever
    /// was called more often.
    pub(crate) most: [u64; 2],
}

pub(crate) fn aligned(row: &Row, what: Of) -> Aligned {
    let mut both = Histogram::new(Resolution::FINEST);
    [&row.a, &row.b].into_iter().for_each(|side| both.merge(side));
    let (unit, label) = match what {
        Of::Durations => (unit(&both), label(unit(&both))),
        Of::Values => (Unit::Ns, "value"),
    };
    let [a, b] = [&row.a, &row.b].map(|side| side.log2(unit));
    let at = |side: &[u64], row: usize| side.get(row).copied().unwrap_or(0);
    let rows = (0..a.len().max(b.len())).map(|row| (bounds(row), [at(&a, row), at(&b, row)]));
    let most = [&a, &b].map(|side| side.iter().copied().max().unwrap_or(0));
    Aligned { unit: label, rows: rows.skip_while(|(_, counts)| *counts == [0, 0]).collect(), most }
}

fn histograms(page: &mut Page, row: &Row, what: Of) {
    let Aligned { unit, rows, most } = aligned(row, what);
    page.line(&format!("{unit:>10} {:14} {:>10} {:>10}   {:BARS$}   B", "", "A", "B", "A"));
    for ((low, high), [a, b]) in rows {
        let [bar_a, bar_b] = [bar(a, most[0], BARS), bar(b, most[1], BARS)];
        page.line(&format!("{low:>10} -> {high:<11} {a:>10} {b:>10}  |{bar_a:BARS$}| |{bar_b:BARS$}|"));
    }
}
