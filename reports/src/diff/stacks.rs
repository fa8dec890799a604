//! Stacks on both sides: where most of the change goes, what is new and gone, frames.

use hostdiag_model::diff::Which;
use hostdiag_model::diff::stacks::{Path, Row, Stacks};

use super::number::{interval, of_unit, ratio, short, signed, step};
use super::{Options, left_out, renamed, table};
use crate::page::{Ink, Page};

/// As many paths of one side are shown.
const PATHS: usize = 5;
/// Frames of a path before and behind the middle that is left out.
const ENDS: usize = 4;

pub(super) fn text(page: &mut Page, stacks: &Stacks, options: Options) {
    page.ink(Ink::Bold, "all").put("  ").line(&step(stacks.total, stacks.unit));
    if let Some(most) = &stacks.most {
        page.line(&explains(stacks, most, options));
    }
    alone(page, Which::B, stacks, options);
    alone(page, Which::A, stacks, options);
    let rows: Vec<Vec<String>> = stacks
        .frames
        .iter()
        .filter(|row| !row.name.is_empty())
        .take(options.rows())
        .map(|one| [row(one, stacks).as_slice(), &[one.change.verdict.as_str().into()]].concat())
        .collect();
    page.put("\n");
    table(page, &["FRAME", "A", "B", "CHANGE", "", "95 %", "ITSELF", ""], &rows);
    left_out(page, stacks.frames.iter().filter(|row| !row.name.is_empty()).count(), rows.len(), "frame");
    renamed(page, stacks.renamed);
}

/// `do_sendfile > … > skb_segment explains 71 % of +8.5k/s`.
pub(crate) fn explains(stacks: &Stacks, most: &Path, options: Options) -> String {
    let whole = stacks.total.change();
    let change = most.amount.change();
    let share = change / whole * 100.0;
    let of = |value| of_unit(value, stacks.unit, signed);
    let words = match (0.0..=120.0).contains(&share) {
        true => format!("explains {share:.0} % of {}", of(whole)),
        // Elsewhere it went the other way, or all of it stayed the same.
        false => format!("has {} of {} in all", of(change), of(whole)),
    };
    format!("{} {words}", shown(most, 0, options))
}

fn alone(page: &mut Page, which: Which, stacks: &Stacks, options: Options) {
    let (paths, word, side) = match which {
        Which::A => (&stacks.gone, "gone", "on A alone"),
        Which::B => (&stacks.new, "new", "on B alone"),
    };
    if paths.paths.is_empty() {
        return;
    }
    page.put("\n").ink(Ink::Bold, word).put("  ").line(side);
    let most = if options.all { usize::MAX } else { PATHS };
    for path in paths.paths.iter().take(most) {
        let [a, b] = [path.amount.a, path.amount.b];
        // From the last frame that both have on.
        let from = path.shared.saturating_sub(1);
        page.line(&format!("  {:>9}  {}", of_unit(a + b, stacks.unit, short), shown(path, from, options)));
    }
    let rest = paths.paths.iter().skip(most);
    let count = rest.clone().count() + paths.more;
    let sum =
        rest.map(|path| path.amount.counts.iter().sum::<u64>()).fold(paths.more_count, u64::saturating_add);
    if count > 0 {
        page.line(&format!("  and {count} more with {sum} in all"));
    }
}

/// Frames of a path from one on; of a long one both ends, unless everything is asked for.
pub(crate) fn shown(path: &Path, from: usize, options: Options) -> String {
    let frames = path.frames.get(from..).unwrap_or_default();
    let (start, end) = (2, frames.len().saturating_sub(ENDS));
    // What is new begins the path: its first frames tell more than the last.
    let (start, end) = if from > 0 { (2 * ENDS, frames.len().saturating_sub(2)) } else { (start, end) };
    if options.all || end <= start {
        return frames.join(" > ");
    }
    format!("{} > ... > {}", frames[..start].join(" > "), frames[end..].join(" > "))
}

/// Name, A, B, change, ratio, interval, change of its own.
pub(crate) fn row(row: &Row, stacks: &Stacks) -> [String; 7] {
    let amount = |value| of_unit(value, stacks.unit, short);
    let change = |value| of_unit(value, stacks.unit, signed);
    let total = row.total;
    [
        row.name.clone(),
        amount(total.a),
        amount(total.b),
        change(total.change()),
        ratio(total.ratio(), total.a, total.b),
        interval(&row.change),
        change(row.own.change()),
    ]
}
