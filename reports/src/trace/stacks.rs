//! `hostdiag stackcount` as text, and folded for flame graphs.

use std::collections::BTreeMap;

use hostdiag_model::stacks::{Frame, Part, Stack, StackCounts, StackKey, StackTable, Symbol};
use hostdiag_model::time::TimeOfDay;
use hostdiag_model::trace::Asked;

use super::{Layout, head};
use crate::page::{Page, Style, harmless};

/// How stacks are to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// Whose layout. bcc's says nothing about modules, inlined functions, reasons
    /// and gaps.
    pub layout: Layout,
    /// Offsets behind function names: `-s`. Not in folded text.
    pub offsets: bool,
    /// Addresses before function names: `-v`. Not in folded text.
    pub addresses: bool,
    /// A line between the parts of a stack if both were asked for: `-d`.
    pub delimiter: bool,
    /// Each stack by process: `-P`. Else the processes are added up.
    pub processes: bool,
    /// Only so many, the most frequent.
    pub top: Option<u32>,
}

impl Form {
    /// As it was asked for.
    pub fn of(asked: &Asked) -> Self {
        Self {
            layout: if asked.stacks.bcc { Layout::Bcc } else { Layout::Own },
            offsets: asked.stacks.offsets,
            addresses: asked.stacks.addresses,
            delimiter: asked.stacks.delimiter,
            processes: asked.stacks.processes,
            top: asked.top,
        }
    }
}

/// What is to be shown: counts, and the stacks that they name.
#[derive(Clone, Copy, Debug)]
pub struct Stacks<'a> {
    /// Stacks by number.
    pub table: &'a StackTable,
    /// How often each was seen.
    pub counts: &'a StackCounts,
}

/// The stacks of one interval, the most frequent last, innermost frame first.
/// Stacks that read the same are one: those whose calls lie apart in the same
/// functions are told apart by `offsets` or `addresses`.
pub fn text(time: Option<TimeOfDay>, stacks: Stacks<'_>, form: Form) -> String {
    let mut page = Page::new(Style::default());
    head(&mut page, form.layout, time);
    for (count, stack) in by_count(stacks, form.top, |key, stack| block(stacks.table, key, stack, form)) {
        page.put(&stack).line(&format!("    {count}\n"));
    }
    page.finish()
}

/// One line a stack for FlameGraph and inferno, outermost frame first and the
/// kernel behind the process: `java-4711;start_thread;…;tcp_push_one 4950`. bcc
/// begins a line with `;` where it has no process; ours never does.
pub fn folded(stacks: Stacks<'_>, form: Form) -> String {
    let mut page = Page::new(Style::default());
    for (count, stack) in by_count(stacks, form.top, |key, stack| line(stacks.table, key, stack, form)) {
        page.line(&format!("{stack} {count}"));
    }
    page.finish()
}

/// So many stacks, the most frequent last, as many frames in a line as there is room
/// for, innermost first; before them how many more there are.
pub fn compact(stacks: Stacks<'_>, top: u32) -> String {
    let mut all = by_count(stacks, None, |_, stack| paragraph(stacks.table, stack));
    let shown = all.split_off(all.len().saturating_sub(top as usize));
    let mut page = Page::new(Style::default());
    let count = |count: u64| format!("{count:>9}  ");
    if !all.is_empty() {
        let rest = all.iter().fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
        page.line(&format!("{}{}", count(rest), crate::page::count(all.len(), "other stack")));
    }
    for (number, stack) in shown {
        page.line(&format!("{}{stack}", count(number)));
    }
    page.finish()
}

/// A stack as lines to stand behind a count; the process's part begins one.
fn paragraph(table: &StackTable, stack: &Stack) -> String {
    let parts = stack.kernel.iter().chain(&stack.user);
    let lines: Vec<String> = parts.flat_map(|part| wrapped(table, part)).collect();
    lines.join("\n           ")
}

fn wrapped(table: &StackTable, part: &Part) -> Vec<String> {
    const WIDTH: usize = 89;
    let frames = table.frames(part).map(|frame| frame_line(frame, Form::default()));
    let gap = part.gap.as_ref().map(|gap| format!("[{}]", harmless(gap)));
    let mut lines: Vec<String> = Vec::new();
    for word in frames.chain(gap) {
        match lines.last_mut() {
            None => lines.push(word),
            Some(line) if line.chars().count() + 3 + word.chars().count() > WIDTH => {
                lines.push(format!("< {word}"));
            }
            Some(line) => line.push_str(&format!(" < {word}")),
        }
    }
    lines
}

/// Stacks as text with the sum of those that read the same, rarest first.
pub(super) fn by_count(
    stacks: Stacks<'_>,
    top: Option<u32>,
    show: impl Fn(&StackKey, &Stack) -> String,
) -> Vec<(u64, String)> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (key, count) in stacks.counts.iter() {
        let Some(stack) = stacks.table.stack(key.stack) else { continue };
        let sum = sums.entry(show(key, stack)).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut sorted: Vec<(u64, String)> = sums.into_iter().map(|(stack, sum)| (sum, stack)).collect();
    sorted.sort_unstable();
    if let Some(top) = top {
        sorted.drain(..sorted.len().saturating_sub(top as usize));
    }
    sorted
}

fn block(table: &StackTable, key: &StackKey, stack: &Stack, form: Form) -> String {
    let mut text = String::new();
    let lines = |part: &Part, text: &mut String| {
        for frame in table.frames(part) {
            *text += &format!("  {}\n", frame_line(frame, form));
        }
        if let (Some(gap), Layout::Own) = (&part.gap, form.layout) {
            *text += &format!("  [{}]\n", harmless(gap));
        }
    };
    stack.kernel.iter().for_each(|part| lines(part, &mut text));
    if delimited(stack, form) {
        text += "    --\n";
    }
    stack.user.iter().for_each(|part| lines(part, &mut text));
    if let (true, Some(pid)) = (form.processes, key.pid) {
        text += &format!("    {} [{pid}]\n", harmless(key.comm.as_deref().unwrap_or_default()));
    }
    text
}

fn delimited(stack: &Stack, form: Form) -> bool {
    form.delimiter && stack.kernel.is_some() && stack.user.is_some()
}

pub(super) fn frame_line(frame: &Frame, form: Form) -> String {
    let mut line = match form.addresses {
        true => format!("{:<16x} ", frame.address),
        false => String::new(),
    };
    line += &function(frame, form);
    if form.layout == Layout::Own && frame.inlined {
        line += " (inlined)";
    }
    line
}

/// The function of a frame, by its name and module.
pub(crate) fn function(frame: &Frame, form: Form) -> String {
    let own = form.layout == Layout::Own;
    let mut line = match &frame.symbol {
        Symbol::Name(name) => harmless(name),
        Symbol::Unknown(reason) if own => format!("[unknown: {}]", harmless(reason)),
        Symbol::Unknown(_) => "[unknown]".into(),
    };
    if let (true, Some(offset)) = (form.offsets, frame.offset) {
        line += &format!("+{offset:#x}");
    }
    if let (true, Some(module)) = (own, &frame.module) {
        line += &format!(" [{}]", harmless(file_name(module)));
    }
    line
}

fn line(table: &StackTable, key: &StackKey, stack: &Stack, form: Form) -> String {
    let layout = form.layout;
    let mut names: Vec<String> = process(key, form).into_iter().collect();
    let add = |part: &Part, names: &mut Vec<String>| {
        let gap = part.gap.as_ref().filter(|_| layout == Layout::Own);
        names.extend(gap.map(|gap| format!("[{}]", clean(gap, layout))));
        names.extend(table.frames(part).rev().map(|frame| folded_name(frame, layout)));
    };
    stack.user.iter().for_each(|part| add(part, &mut names));
    if delimited(stack, form) {
        names.push("-".into());
    }
    stack.kernel.iter().for_each(|part| add(part, &mut names));
    if layout == Layout::Own && names.is_empty() {
        names.push("[no_stack]".into());
    }
    names.join(";")
}

/// What begins a folded line: a name, in bcc's layout also an empty one.
fn process(key: &StackKey, form: Form) -> Option<String> {
    let comm = clean(key.comm.as_deref().unwrap_or_default(), form.layout);
    match key.pid.filter(|_| form.processes) {
        _ if form.layout == Layout::Bcc => Some(comm),
        Some(pid) => Some(format!("{comm}-{pid}")),
        None => Some(comm).filter(|comm| !comm.is_empty()),
    }
}

/// Without a name it is the file's, as in what is folded from perf's stacks.
fn folded_name(frame: &Frame, layout: Layout) -> String {
    let name = match (&frame.symbol, &frame.module) {
        (Symbol::Name(name), _) => clean(name, layout),
        (Symbol::Unknown(_), Some(module)) if layout == Layout::Own => {
            format!("[{}]", clean(file_name(module), layout))
        }
        (Symbol::Unknown(_), _) => String::new(),
    };
    if name.is_empty() { "[unknown]".into() } else { name }
}

/// A name that ends no frame and no stack, but in bcc's layout: `;` is between
/// frames, and a blank and digits at the end of the last would read as a count.
fn clean(name: &str, layout: Layout) -> String {
    let name = harmless(name);
    let separates = |c: char| c == ';' || c.is_whitespace();
    if layout == Layout::Bcc || !name.contains(separates) {
        return name;
    }
    name.chars()
        .map(|c| {
            if c == ';' {
                ':'
            } else if c.is_whitespace() {
                '_'
            } else {
                c
            }
        })
        .collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
#[path = "stacks_tests.rs"]
mod tests;
