//! `hostdiag timer-names` as text: a row for all timers that call the same.

use hostdiag_model::Histogram;
use hostdiag_model::harmless::harmless;
use hostdiag_model::histogram::Bounds;
use hostdiag_model::stacks::StackTable;
use hostdiag_model::trace::{AskedTimers, By, Group, Head, Owner, Timer, TimerCount};

use super::duration::duration;
use super::latency::{self, Block, Form, Key};
use super::name;
use super::stacks::{self, Stacks};

/// Stacks that are shown of a row, where nothing else was asked for.
const STACKS: u32 = 5;

/// A column: its title, and what a row has in it.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Numbers stand at the right.
    pub(crate) left: bool,
    least: usize,
    pub(crate) cells: Vec<String>,
}

/// Rows by count, the largest last, as `sort -n` has them.
pub(super) fn block(head: &Head, stacks: &StackTable, list: &[TimerCount], length_ms: u64) -> String {
    let asked = head.asked.timers.unwrap_or_default();
    let rows = shown(list, head.asked.top);
    let mut text = table(&columns(&rows, asked, length_ms));
    if asked.histograms {
        text.push_str(&histograms(&rows));
    }
    if asked.start_stacks {
        text.push_str(&starts(&rows, stacks, head.asked.top));
    }
    text
}

fn shown(list: &[TimerCount], top: Option<u32>) -> Vec<&TimerCount> {
    let mut rows: Vec<&TimerCount> = list.iter().collect();
    rows.sort_by(|a, b| a.started.cmp(&b.started).then_with(|| b.timer.cmp(&a.timer)));
    if let Some(top) = top {
        rows.drain(..rows.len().saturating_sub(top as usize));
    }
    rows
}

/// Its columns, whatever layout they are for.
pub(crate) fn columns(rows: &[&TimerCount], asked: AskedTimers, length_ms: u64) -> Vec<Column> {
    let column = |title, left, least, cell: &dyn Fn(&TimerCount) -> String| Column {
        title,
        left,
        least,
        cells: rows.iter().map(|row| cell(row)).collect(),
    };
    let right = |title, least, cell: &dyn Fn(&TimerCount) -> String| column(title, false, least, cell);
    let mut columns = vec![right("COUNT", 9, &|row| row.started.to_string())];
    if asked.expiry {
        columns.push(right("EXPIRED", 8, &|row| row.expired.to_string()));
        columns.push(right("LATE p50", 6, &|row| at(row.late.as_ref(), 5000)));
        columns.push(right("p99", 6, &|row| at(row.late.as_ref(), 9900)));
        columns.push(right("max", 6, &|row| most(row.late.as_ref())));
        columns.push(right("RUN p50", 6, &|row| at(row.run.as_ref(), 5000)));
        columns.push(right("p99", 6, &|row| at(row.run.as_ref(), 9900)));
        columns.push(right("max", 6, &|row| most(row.run.as_ref())));
    } else {
        let rate = |row: &TimerCount| row.started as f64 * 1000.0 / length_ms.max(1) as f64;
        columns.push(right("RATE/s", 9, &|row| format!("{:.1}", rate(row))));
        columns.push(right("EXPIRED", 8, &|row| row.expired.to_string()));
        columns.push(right("RE-ARMED", 8, &|row| row.rearmed.to_string()));
        columns.push(right("CANCELLED", 9, &|row| row.cancelled().to_string()));
        columns.push(right("DELAY", 6, &|row| at(Some(&row.delay), 5000)));
    }
    let by = asked.by.map(|by| match by {
        By::Cpu => "CPU",
        By::Comm => "COMM",
        By::Pid => "PID",
    });
    columns.extend(by.map(|title| column(title, title == "COMM", 0, &group)));
    columns.push(column("FUNCTION", true, 0, &function));
    let owners = column("OWNER", true, 0, &|row| row.timer.as_ref().map_or(String::new(), owner));
    columns.extend(Some(owners).filter(|owners| owners.cells.iter().any(|cell| !cell.is_empty())));
    columns
}

fn table(columns: &[Column]) -> String {
    let width = |column: &Column| {
        let cells = column.cells.iter().map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(column.title.len()).max(column.least)
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let mut line = String::new();
        for (column, width) in columns.iter().zip(&widths) {
            let cell = cell(column);
            match column.left {
                true => line.push_str(&format!("  {cell:width$}")),
                false => line.push_str(&format!(" {cell:>width$}")),
            }
        }
        // A number has no blank before it in the first column.
        format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end())
    };
    let mut text = line(&|column| column.title.to_owned());
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        text.push_str(&line(&|column| column.cells.get(row).cloned().unwrap_or_default()));
    }
    text
}

/// A percentile; `-` of nothing.
fn at(histogram: Option<&Histogram>, hundredths: u32) -> String {
    let bounds = histogram.and_then(|histogram| histogram.percentile(hundredths));
    // From here on durations are not told apart.
    let open = |bounds: &Bounds| if bounds.low >= 1 << 40 { ">=" } else { "" };
    bounds.map_or("-".into(), |bounds| format!("{}{}", open(&bounds), duration(bounds.middle())))
}

fn most(histogram: Option<&Histogram>) -> String {
    match histogram.and_then(|histogram| histogram.max) {
        Some(max) => duration(max),
        None => at(histogram, 10_000),
    }
}

fn function(row: &TimerCount) -> String {
    row.timer.as_ref().map_or("(all others)".into(), |timer| name(&timer.function))
}

fn group(row: &TimerCount) -> String {
    match row.timer.as_ref().and_then(|timer| timer.group.as_ref()) {
        Some(Group::Cpu(number) | Group::Pid(number)) => number.to_string(),
        Some(Group::Comm(comm)) => harmless(comm),
        Some(Group::Other) | None => String::new(),
    }
}

fn owner(timer: &Timer) -> String {
    match &timer.owner {
        None => String::new(),
        Some(Owner::Work(function)) => name(function),
        Some(Owner::Process(comm)) => harmless(comm),
    }
}

/// What a row is of, on one line.
pub(crate) fn title(row: &TimerCount) -> String {
    let parts = [group(row), function(row), row.timer.as_ref().map_or(String::new(), owner)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

/// The same where there is little room: what tells most comes first. Work says more than the
/// function that queues it.
pub(crate) fn short(timer: Option<&Timer>) -> String {
    let Some(timer) = timer else { return "all others".into() };
    let function = match &timer.owner {
        Some(Owner::Work(function)) => name(function),
        Some(Owner::Process(comm)) => format!("{}  {}", name(&timer.function), harmless(comm)),
        None => name(&timer.function),
    };
    let group = match &timer.group {
        Some(Group::Cpu(number)) => format!("  CPU {number}"),
        Some(Group::Pid(number)) => format!("  PID {number}"),
        Some(Group::Comm(comm)) if timer.owner != Some(Owner::Process(comm.clone())) => {
            format!("  {}", harmless(comm))
        }
        Some(Group::Comm(_) | Group::Other) | None => String::new(),
    };
    function + &group
}

/// From where those of each row were started, under its name.
fn starts(rows: &[&TimerCount], table: &StackTable, top: Option<u32>) -> String {
    let mut text = String::new();
    for row in rows {
        let Some(counts) = &row.stacks else { continue };
        text.push_str(&format!("\nstarts of {}\n", title(row)));
        text.push_str(&stacks::compact(Stacks { table, counts }, top.unwrap_or(STACKS)));
    }
    text
}

/// Those of each row under its name.
fn histograms(rows: &[&TimerCount]) -> String {
    let mut text = String::new();
    for row in rows {
        let title = title(row);
        let all = [("delay", Some(&row.delay)), ("late", row.late.as_ref()), ("run", row.run.as_ref())];
        let some = all.into_iter().filter_map(|(what, histogram)| Some((what, histogram?)));
        for (what, histogram) in some.filter(|(_, histogram)| histogram.count() > 0) {
            let block = Block { keys: vec![Key::Of(what, &title)], histogram };
            text.push('\n');
            text.push_str(&latency::text(None, &[block], Form::default()));
        }
    }
    text
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
