//! A log2 histogram in bcc's layout, which scripts read.

use hostdiag_model::histogram::Unit;

use super::Layout;
use crate::page::Page;

/// bcc's words for units.
pub fn label(unit: Unit) -> &'static str {
    match unit {
        Unit::Ns => "nsecs",
        Unit::Us => "usecs",
        Unit::Ms => "msecs",
    }
}

/// Rows of what the label says, as [`hostdiag_model::Histogram::log2`] makes them, which end with one
/// that is not empty; none, or 64 at most. No rows are no text. The layout is that of bcc's
/// `_print_log2_hist` (src/python/bcc/table.py): from 2^32 on all columns are
/// wider. bcc shows every row from the first, ours begins with the first that is
/// not empty.
pub fn log2(page: &mut Page, rows: &[u64], label: &str, layout: Layout) {
    if rows.is_empty() {
        return;
    }
    let wide = rows.len() > 32;
    let (indent, name, digits, stars) = if wide { (15, 29, 20, 20) } else { (5, 19, 10, 40) };
    page.line(&format!("{:indent$}{label:name$} : count     distribution", ""));
    let most = rows.iter().copied().max().unwrap_or(0);
    let empty = rows.iter().take_while(|count| **count == 0).count();
    let first = if layout == Layout::Bcc { 0 } else { empty };
    for (row, count) in rows.iter().enumerate().skip(first) {
        let (low, high) = bounds(row);
        let bar = bar(*count, most, stars);
        page.line(&format!("{low:digits$} -> {high:<digits$} : {count:<8} |{bar:stars$}|"));
    }
}

/// The first and last value of a row, of which there are 64 at most.
pub(crate) fn bounds(row: usize) -> (u64, u64) {
    (if row == 0 { 0 } else { 1 << row }, u64::MAX >> (63 - row))
}

/// Rounded down, and in floating point, as bcc does.
pub(crate) fn bar(count: u64, most: u64, width: usize) -> String {
    let share = width as f64 * count as f64 / most.max(1) as f64;
    "*".repeat((share as usize).min(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Style;

    fn text(rows: &[u64], unit: Unit, layout: Layout) -> String {
        let mut page = Page::new(Style::default());
        log2(&mut page, rows, label(unit), layout);
        page.finish()
    }

    #[test]
    fn nothing_is_no_text() {
        assert_eq!(text(&[], Unit::Ns, Layout::Bcc), "");
    }

    /// Golden texts are what bcc's `_print_log2_hist` prints of the same counts.
    #[test]
    fn the_layout_is_that_of_bcc() {
        let rows = |pairs: &[(usize, u64)]| {
            let mut rows = vec![0; pairs.iter().map(|(row, _)| row + 1).max().unwrap()];
            pairs.iter().for_each(|(row, count)| rows[*row] = *count);
            rows
        };
        let narrow = rows(&[(3, 1), (4, 399), (6, 400)]);
        assert_eq!(text(&narrow, Unit::Ns, Layout::Bcc), include_str!("golden/bcc-log2.txt"));
        let last_narrow = rows(&[(0, 1), (30, 30_864_197), (31, 123_456_789)]);
        assert_eq!(text(&last_narrow, Unit::Ms, Layout::Bcc), include_str!("golden/bcc-log2-32.txt"));
        let wide = rows(&[(0, 7), (11, 99), (29, 5), (32, 100)]);
        assert_eq!(text(&wide, Unit::Us, Layout::Bcc), include_str!("golden/bcc-log2-33.txt"));
        // Ours is the same without the rows above the first that is not empty.
        let own: String = include_str!("golden/bcc-log2.txt")
            .split_inclusive('\n')
            .enumerate()
            .filter(|(line, _)| !(1..4).contains(line))
            .map(|(_, text)| text)
            .collect();
        assert_eq!(text(&narrow, Unit::Ns, Layout::Own), own);
    }
}
