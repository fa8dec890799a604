//! Folded stacks: a line each, the outermost frame first, frames between semicolons,
//! and the count behind the last blank.
//!
//! ```text
//! do_syscall_64;sys_sendfile64;do_sendfile 4950
//! ```
//!
//! And what bcc's stackcount prints: a frame a line, the innermost first, and the
//! count below, indented by four blanks.

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

impl Tree {
    /// Adds the stacks of a text to a recording of the tree.
    ///
    /// # Errors
    /// A line is not a stack with its count, or too long; or there is no more room.
    pub fn read(&mut self, recording: usize, input: &mut dyn BufRead) -> Result<(), FoldedError> {
        let mut reader =
            Reader { tree: self, recording, last: Vec::new(), path: Vec::new(), block: Vec::new() };
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if input.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
                return reader.end().map_err(|problem| FoldedError::Line(number, String::new(), problem));
            }
            reader.line(&line).map_err(|problem| FoldedError::Line(number, shown(&line), problem))?;
        }
        Ok(())
    }
}

fn shown(line: &[u8]) -> String {
    let start = &line[..line.len().min(4 * SHOWN)];
    let text = String::from_utf8_lossy(start);
    text.trim_end().chars().filter(|c| !crate::harmless::is_harmful(*c)).take(SHOWN).collect()
}

struct Reader<'a> {
    tree: &'a mut Tree,
    recording: usize,
    /// The stack of the line before, and where its frames end, with their nodes:
    /// neighbours have most of their callers in common.
    last: Vec<u8>,
    path: Vec<(usize, NodeId)>,
    /// Frames of a stack of stackcount so far, the innermost first.
    block: Vec<String>,
}

impl Reader<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        if line.len() > MAX_LINE {
            return Err(format!("longer than {MAX_LINE} bytes"));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line {
            [b' ', b' ', b' ', b' ', rest @ ..] if !self.block.is_empty() => self.block_line(rest),
            [b' ', b' ', frame @ ..] if !frame.is_empty() => {
                self.block.push(text(frame)?.to_owned());
                if self.block.len() > MAX_FRAMES { Err(too_deep()) } else { Ok(()) }
            }
            _ if is_beside(line) => Ok(()),
            _ if !self.block.is_empty() => Err("a count was expected, or another frame".into()),
            _ => self.folded(line),
        }
    }

    /// The last lines of a stack of stackcount: a process, a line between both parts,
    /// the count.
    fn block_line(&mut self, rest: &[u8]) -> Result<(), String> {
        let rest = text(rest)?.trim();
        if rest == "--" {
            return Ok(());
        }
        match rest.parse() {
            Ok(count) => {
                let frames = std::mem::take(&mut self.block);
                let frames = frames.iter().rev().map(String::as_str);
                self.tree.add(self.recording, frames, count).map_err(|full| full.to_string())
            }
            // Another process is another stack, and that is all that it is here.
            Err(_) if rest.ends_with(']') => Ok(()),
            Err(_) => Err("not a count".into()),
        }
    }

    fn folded(&mut self, line: &[u8]) -> Result<(), String> {
        let line = line.trim_ascii_end();
        let blank = line.iter().rposition(|byte| byte.is_ascii_whitespace());
        let (stack, count) = line.split_at(blank.ok_or("no count behind the stack")?);
        let count = text(count.trim_ascii())?;
        let number = count.parse::<u64>().map_err(|_| {
            if count.parse::<f64>().is_ok() {
                format!("the count {count} is no whole number from 0 on")
            } else {
                "no count behind the stack".to_owned()
            }
        })?;
        let stack = stack.trim_ascii_end();
        if stack.is_empty() {
            return Err("no stack before the count".into());
        }
        let node = self.walk(stack)?;
        self.tree.count(node, self.recording, number);
        Ok(())
    }

    /// The node of a stack, from where the one before it was the same.
    fn walk(&mut self, stack: &[u8]) -> Result<NodeId, String> {
        let same = self.last.iter().zip(stack).take_while(|(a, b)| a == b).count();
        let whole = |end: usize| end <= same && stack.get(end).is_none_or(|byte| *byte == b';');
        let keep = self.path.iter().rposition(|(end, _)| whole(*end)).map_or(0, |at| at + 1);
        self.path.truncate(keep);
        self.last.truncate(same);
        self.last.extend_from_slice(&stack[same..]);
        let mut at = match self.path.last() {
            Some((end, node)) if *end == stack.len() => return Ok(*node),
            Some((end, _)) => end + 1,
            None => 0,
        };
        loop {
            let end = stack[at..].iter().position(|byte| *byte == b';').map_or(stack.len(), |next| at + next);
            // An empty frame, as bcc's stackcount begins lines without a process, is none.
            let parent = self.path.last().map_or(0, |(_, node)| *node);
            let node = match text(&stack[at..end])? {
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

    fn end(&mut self) -> Result<(), String> {
        if self.block.is_empty() {
            Ok(())
        } else {
            Err("the last stack has no count: the text is cut off".into())
        }
    }
}

/// What stackcount prints beside stacks: empty lines, the time, what it is doing.
fn is_beside(line: &[u8]) -> bool {
    let time = |(at, byte): (usize, &u8)| if at % 3 == 2 { *byte == b':' } else { byte.is_ascii_digit() };
    let words: [&[u8]; 2] = [b"Tracing ", b"Detaching..."];
    line.is_empty()
        || line.len() == 8 && line.iter().enumerate().all(time)
        || words.iter().any(|words| line.starts_with(words))
}

fn too_deep() -> String {
    format!("more than {MAX_FRAMES} frames")
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "not UTF-8".into())
}
