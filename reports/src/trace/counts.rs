//! A table of counts, laid out as bcc's funccount has it.

use hostdiag_model::trace::{Function, Head};

use super::name;

/// Width of bcc's column of names; longer names widen it.
const NAMES: usize = 36;
/// Width of bcc's column of counts.
const COUNTS: usize = 8;

/// Rows by count, the largest last; functions without a call have none.
pub(super) fn table(head: &Head, counts: &[(u32, u64)], length_ms: u64) -> String {
    let functions: Vec<&Function> = head.functions().collect();
    let mut rows: Vec<(u64, String)> = counts
        .iter()
        .filter_map(|(index, count)| Some((*count, name(functions.get(*index as usize)?))))
        .collect();
    rows.sort_unstable();
    if let Some(top) = head.asked.top {
        rows.drain(..rows.len().saturating_sub(top as usize));
    }
    let names = rows.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0).max(NAMES);
    let numbers = rows.iter().map(|(count, _)| count.to_string().len()).max().unwrap_or(0).max(COUNTS);
    let rate = |count: u64| count as f64 * 1000.0 / length_ms.max(1) as f64;
    let mut text = format!("{:names$} {:>numbers$}", "FUNC", "COUNT");
    text.push_str(if head.asked.rate { "     RATE/s\n" } else { "\n" });
    for (count, name) in rows {
        text.push_str(&format!("{name:names$} {count:numbers$}"));
        if head.asked.rate {
            text.push_str(&format!(" {:>10.1}", rate(count)));
        }
        text.push('\n');
    }
    text
}
