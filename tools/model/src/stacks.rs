//! Call stacks: frames and stacks by number, and how often each was seen.
//!
//! The table only grows, so a stream writes each addition once, and a number
//! means the same from then on:
//!
//! ```text
//! {"frames":[{"address":"ffffffff814ee977","name":"tcp_push_one","offset":0},
//!            {"address":"7f0000001000","unknown":"no symbol covers it","module":"/usr/lib/libx.so"}],
//!  "stacks":[{"kernel":{"frames":[0]},"user":{"frames":[1],"gap":"deeper than 127 frames"}}]}
//! {"counts":[{"stack":0,"function":0,"pid":4711,"comm":"java","count":4950}]}
//! ```
//!
//! Absent is not empty: a part of a stack that nobody asked for is left out, one
//! that could not be walked has no frames and a `gap`.

use std::hash::Hash;
use std::sync::Arc;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

pub(crate) use counts::check;
pub use counts::{StackCounts, StackKey};

mod counts;

/// One place in a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// Where the processor was, or was to return to. Kept, also when it has a
    /// name: hexadecimal in JSON, whose numbers are not that exact everywhere.
    #[serde(with = "hex")]
    pub address: u64,
    /// The function there, or why it is not known.
    #[serde(flatten)]
    pub symbol: Symbol,
    /// Bytes from the start of the function; absent where it has no name or the
    /// compiler put it into another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
    /// Kernel module, or mapped file of a process; absent for the kernel itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<Arc<str>>,
    /// The compiler put it into the function of the next frame, which has the
    /// same address.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub inlined: bool,
}

/// A function's name, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Symbol {
    /// Its name, demangled.
    Name(Arc<str>),
    /// Why it has none, in a few words.
    Unknown(Arc<str>),
}

/// The kernel's or the process's part of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Numbers of frames, the innermost (leaf) first.
    pub frames: Vec<u32>,
    /// Why there are none, or none beyond the last; absent if it is whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gap: Option<Arc<str>>,
}

/// A stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stack {
    /// In the kernel; absent if not asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kernel: Option<Part>,
    /// In the process; absent if not asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<Part>,
}

impl Stack {
    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.kernel.iter().chain(&self.user)
    }
}

/// What a table has more than before, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Additions {
    /// Frames, numbered on from the last.
    pub frames: Vec<Arc<Frame>>,
    /// Stacks, likewise.
    pub stacks: Vec<Arc<Stack>>,
}

/// How far a table had grown at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    frames: usize,
    stacks: usize,
}

/// Frames and stacks, each once, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackTable {
    frames: Numbered<Frame>,
    stacks: Numbered<Stack>,
}

impl StackTable {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of a frame, which is added if it is new.
    pub fn add_frame(&mut self, frame: Frame) -> u32 {
        self.frames.add(Arc::new(frame))
    }

    /// The number of a stack, which is added if it is new. Its frames are numbers
    /// of this table.
    pub fn add_stack(&mut self, stack: Stack) -> u32 {
        self.stacks.add(Arc::new(stack))
    }

    /// A stack by its number.
    pub fn stack(&self, number: u32) -> Option<&Stack> {
        self.stacks.get(number)
    }

    /// The frames of a part, the innermost first.
    pub fn frames<'a>(&'a self, part: &'a Part) -> impl DoubleEndedIterator<Item = &'a Frame> {
        part.frames.iter().filter_map(|number| self.frames.get(*number))
    }

    /// How far it has grown.
    pub fn mark(&self) -> Mark {
        Mark { frames: self.frames.items.len(), stacks: self.stacks.items.len() }
    }

    /// What has come since a mark of this table.
    pub fn since(&self, mark: Mark) -> Additions {
        Additions { frames: self.frames.from(mark.frames), stacks: self.stacks.from(mark.stacks) }
    }

    /// Adds what was written by [`Self::since`].
    ///
    /// # Errors
    /// A stack has a frame that there is not, in words; nothing is added then.
    pub fn append(&mut self, additions: Additions) -> Result<(), String> {
        let frames = self.frames.items.len() + additions.frames.len();
        let numbers = additions.stacks.iter().flat_map(|stack| stack.parts()).flat_map(|part| &part.frames);
        if let Some(number) = numbers.copied().find(|number| *number as usize >= frames) {
            return Err(format!("a stack has frame {number}, there are {frames}"));
        }
        additions.frames.into_iter().for_each(|frame| self.frames.push(frame));
        additions.stacks.into_iter().for_each(|stack| self.stacks.push(stack));
        Ok(())
    }

    /// Adds the stacks of another table; the number here of each there.
    pub fn merge(&mut self, other: &Self) -> Vec<u32> {
        let frames: Vec<u32> =
            other.frames.items.iter().map(|frame| self.frames.add(frame.clone())).collect();
        let part = |part: &Part| Part {
            frames: part.frames.iter().filter_map(|number| frames.get(*number as usize).copied()).collect(),
            gap: part.gap.clone(),
        };
        let stack = |stack: &Arc<Stack>| Stack {
            kernel: stack.kernel.as_ref().map(part),
            user: stack.user.as_ref().map(part),
        };
        other.stacks.items.iter().map(stack).map(|stack| self.add_stack(stack)).collect()
    }

    /// How long a stack is as text, at least, in bytes; 0 of none.
    fn text(&self, stack: u32) -> usize {
        let parts = self.stack(stack).into_iter().flat_map(Stack::parts);
        let frames = |part| self.frames(part).map(Frame::text);
        let gap = |part: &Part| part.gap.as_ref().map(|gap| gap.len());
        parts.flat_map(|part| frames(part).chain(gap(part))).fold(0, usize::saturating_add)
    }
}

impl Frame {
    fn text(&self) -> usize {
        let (Symbol::Name(words) | Symbol::Unknown(words)) = &self.symbol;
        1 + words.len() + self.module.as_ref().map_or(0, |module| module.len())
    }
}

/// Things by number, and the number of each.
#[derive(Clone, Debug)]
struct Numbered<T> {
    items: Vec<Arc<T>>,
    /// Of the first of them: most tables are only ever read, or written to by number.
    numbers: HashMap<Arc<T>, u32>,
    /// How many.
    first: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: HashMap::default(), first: 0 }
    }
}

impl<T: PartialEq> PartialEq for Numbered<T> {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl<T: Eq> Eq for Numbered<T> {}

impl<T: Eq + Hash> Numbered<T> {
    fn add(&mut self, item: Arc<T>) -> u32 {
        for (number, item) in self.items.iter().enumerate().skip(self.first) {
            self.numbers.entry(item.clone()).or_insert(number as u32);
        }
        let next = self.items.len() as u32;
        let number = *self.numbers.entry(item.clone()).or_insert(next);
        if number == next {
            self.items.push(item);
        }
        self.first = self.items.len();
        number
    }

    /// The next number, even if the same is there: a file says which is which.
    fn push(&mut self, item: Arc<T>) {
        self.items.push(item);
    }

    fn get(&self, number: u32) -> Option<&T> {
        self.items.get(number as usize).map(|item| &**item)
    }

    fn from(&self, start: usize) -> Vec<Arc<T>> {
        self.items.get(start..).unwrap_or_default().to_vec()
    }
}

mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(address: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{address:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(|error| D::Error::custom(format!("address {text:?}: {error}")))
    }
}

#[cfg(test)]
#[path = "stacks_tests.rs"]
mod tests;
