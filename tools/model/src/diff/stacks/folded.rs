//! Folded stacks: a line each, the outermost frame first, frames between semicolons,
//! and the count behind the last blank.
//!
//! ```text
//! do_syscall_64;sys_sendfile64;do_sendfile 4950
//! ```
//!
//! And what bcc's stackcount prints: a frame a line, the innermost first, and the
//! count below, indented by four blanks.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use super::tree::{NodeId, Tree};

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 1 << 20;
/// Most frames of a stack.
const MAX_FRAMES: usize = 4096;
/// How much of a line an error shows, in characters.
const SHOWN: usize = 60;

/// Why text is not what stacks look like.
#[derive(Debug)]
pub enum FoldedError {
    /// Reading itself failed.
    Io(io::Error),
    /// Line, counted from 1, what stands there, and what is wrong with it.
    Line(u64, String, String),
}

impl std::fmt::Display for FoldedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Line(line, found, problem) => write!(f, "line {line}: {found:?}: {problem}"),
        }
    }
}

impl std::error::Error for FoldedError {}

impl From<io::Error> for FoldedError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads stacks from text, and hands on each as it stands in a folded line, with its
/// count; what is not to be taken says why.
///
/// # Errors
/// A line is not a stack with its count, or too long, or was not taken.
pub fn read(
    input: &mut dyn BufRead,
    take: &mut dyn FnMut(&str, u64) -> Result<(), String>,
) -> Result<(), FoldedError> {
    let mut block = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            let cut_off = "the last stack has no count: the text is cut off";
            let whole = if block.is_empty() { Ok(()) } else { Err(cut_off.to_owned()) };
            return whole.map_err(|problem| FoldedError::Line(number, String::new(), problem));
        }
        one_line(&line, &mut block, take)
            .map_err(|problem| FoldedError::Line(number, shown(&line), problem))?;
    }
    Ok(())
}

fn shown(line: &[u8]) -> String {
    let start = &line[..line.len().min(4 * SHOWN)];
    let text = String::from_utf8_lossy(start);
    text.trim_end().chars().filter(|c| !crate::harmless::is_harmful(*c)).take(SHOWN).collect()
}

/// `block` has the frames of a stack of stackcount so far, the innermost first.
fn one_line(
    line: &[u8],
    block: &mut Vec<String>,
    take: &mut dyn FnMut(&str, u64) -> Result<(), String>,
) -> Result<(), String> {
    if line.len() > MAX_LINE {
        return Err(format!("longer than {MAX_LINE} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if let Some(rest) = text.strip_prefix("    ").filter(|_| !block.is_empty()) {
        return end_of_block(rest.trim(), block, take);
    }
    if let Some(frame) = text.strip_prefix("  ").filter(|frame| !frame.trim().is_empty()) {
        // What is between frames of a folded line.
        block.push(frame.replace(';', ":"));
        return if block.len() > MAX_FRAMES { Err(too_deep()) } else { Ok(()) };
    }
    if is_beside(text.as_bytes()) {
        return Ok(());
    }
    if !block.is_empty() {
        return Err("a count was expected, or another frame".into());
    }
    let (stack, count) = folded(text)?;
    take(stack, count)
}

/// The last lines of a stack of stackcount: a line between both parts, a process,
/// which another stack may share and which does not matter here, the count.
fn end_of_block(
    text: &str,
    block: &mut Vec<String>,
    take: &mut dyn FnMut(&str, u64) -> Result<(), String>,
) -> Result<(), String> {
    match text.parse() {
        Ok(count) => {
            let frames: Vec<String> = std::mem::take(block).into_iter().rev().collect();
            take(&frames.join(";"), count)
        }
        Err(_) if text == "--" || text.ends_with(']') => Ok(()),
        Err(_) => Err("not a count".into()),
    }
}

/// Stack and count of a folded line.
fn folded(text: &str) -> Result<(&str, u64), String> {
    let without = || "no count behind the stack".to_owned();
    let (stack, count) = text.trim_ascii_end().rsplit_once([' ', '\t']).ok_or_else(without)?;
    let number = count.parse::<u64>().map_err(|_| match count.parse::<f64>() {
        Ok(_) => format!("the count {count} is no whole number from 0 on"),
        Err(_) => without(),
    })?;
    let stack = stack.trim_ascii_end();
    if stack.is_empty() { Err("no stack before the count".into()) } else { Ok((stack, number)) }
}

/// What stackcount prints beside stacks: empty lines, the time, what it is doing.
fn is_beside(line: &[u8]) -> bool {
    let time = |(at, byte): (usize, &u8)| if at % 3 == 2 { *byte == b':' } else { byte.is_ascii_digit() };
    let words: [&[u8]; 2] = [b"Tracing ", b"Detaching..."];
    line.is_empty()
        || line.len() == 8 && line.iter().enumerate().all(time)
        || words.iter().any(|words| line.starts_with(words))
}

/// What is taken of a folded stack; `None`: not at all.
pub type Wanted<'a> = &'a dyn for<'s> Fn(&'s str) -> Option<Cow<'s, str>>;

fn too_deep() -> String {
    format!("more than {MAX_FRAMES} frames")
}

impl Tree {
    /// Adds the stacks of a text to a recording of the tree, each as it is wanted.
    ///
    /// # Errors
    /// As [`read`]; or there is no more room.
    pub fn read(
        &mut self,
        recording: usize,
        input: &mut dyn BufRead,
        wanted: Wanted<'_>,
    ) -> Result<(), FoldedError> {
        let mut walk = Walk { tree: self, recording, last: Vec::new(), path: Vec::new() };
        read(input, &mut |stack, count| {
            if let Some(stack) = wanted(stack) {
                let node = walk.to(&stack)?;
                walk.tree.count(node, recording, count);
            }
            Ok(())
        })
    }
}

/// The way of the last stack: neighbours have most of their callers in common.
struct Walk<'a> {
    tree: &'a mut Tree,
    recording: usize,
    last: Vec<u8>,
    /// Where its frames end, with their nodes.
    path: Vec<(usize, NodeId)>,
}

impl Walk<'_> {
    /// The node of a stack, from where the one before it was the same.
    fn to(&mut self, stack: &str) -> Result<NodeId, String> {
        let bytes = stack.as_bytes();
        let same = self.last.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        let whole = |end: usize| end <= same && bytes.get(end).is_none_or(|byte| *byte == b';');
        let keep = self.path.iter().rposition(|(end, _)| whole(*end)).map_or(0, |at| at + 1);
        self.path.truncate(keep);
        self.last.truncate(same);
        self.last.extend_from_slice(&bytes[same..]);
        let mut at = match self.path.last() {
            Some((end, node)) if *end == stack.len() => return Ok(*node),
            Some((end, _)) => end + 1,
            None => 0,
        };
        loop {
            let end = bytes[at..].iter().position(|byte| *byte == b';').map_or(stack.len(), |next| at + next);
            let parent = self.path.last().map_or(0, |(_, node)| *node);
            // An empty frame, as bcc's stackcount begins lines without a process, is none.
            let node = match &stack[at..end] {
                "" => parent,
                name => self.tree.child(parent, name, self.recording).map_err(|full| full.to_string())?,
            };
            self.path.push((end, node));
            if self.path.len() > MAX_FRAMES {
                return Err(too_deep());
            }
            if end == stack.len() {
                return Ok(node);
            }
            at = end + 1;
        }
    }
}
