//! Stacks as a profile of pprof: the message `perftools.profiles.Profile` of
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>, not compressed,
//! which its readers take as well.

use std::collections::HashMap;

use hostdiag_model::stacks::{Frame, Stack, StackKey, Symbol};
use hostdiag_model::trace::Trace;
use hostdiag_model::{Recording, harmless::harmless};

use self::wire::Message;

mod wire;

/// All stacks of a recording, all windows together. Absent where it has none.
pub fn profile(recording: &Recording, trace: &Trace) -> Option<Vec<u8>> {
    let windows = trace.windows.by_interval(None);
    let counts = windows.first()?.payload.stacks()?;
    let mut profile = Profile::default();
    let calls = profile.value_type("calls", "count");
    for (key, count) in counts.iter() {
        if let Some(stack) = trace.stacks.stack(key.stack) {
            profile.sample(trace, stack, (key, count));
        }
    }
    let mut message = Message::default();
    message.message(1, &calls);
    profile.append_to(&mut message);
    message.number(9, recording.started_ms.saturating_mul(1_000_000));
    message.number(10, recording.elapsed_ms.unwrap_or(0).saturating_mul(1_000_000));
    Some(message.bytes)
}

/// Its tables, and what has been put into them.
#[derive(Default)]
struct Profile {
    samples: Vec<Message>,
    locations: Table<Place>,
    functions: Table<(u64, u64)>,
    mappings: Table<u64>,
    strings: Table<String>,
}

/// A location: address, mapping and function, by their numbers.
type Place = (u64, u64, u64);

impl Profile {
    /// `ValueType`: what, in which unit.
    fn value_type(&mut self, kind: &str, unit: &str) -> Message {
        let mut message = Message::default();
        message.number(1, self.text(kind));
        message.number(2, self.text(unit));
        message
    }

    /// The number of a text, of which the first is empty.
    fn text(&mut self, text: &str) -> u64 {
        if self.strings.is_empty() {
            self.strings.number(String::new());
        }
        self.strings.number(harmless(text)) - 1
    }

    /// `Sample`: locations from the innermost out, a value, labels.
    fn sample(&mut self, trace: &Trace, stack: &Stack, (key, count): (&StackKey, u64)) {
        let parts =
            stack.kernel.iter().map(|part| (part, true)).chain(stack.user.iter().map(|part| (part, false)));
        let mut locations = Vec::new();
        for (part, kernel) in parts {
            for frame in trace.stacks.frames(part) {
                locations.push(self.location(frame, kernel));
            }
            if let Some(gap) = &part.gap {
                locations.push(self.place(0, 0, (&format!("[{gap}]"), "")));
            }
        }
        let mut message = Message::default();
        message.packed(1, &locations);
        message.packed(2, &[count]);
        if let Some(comm) = &key.comm {
            let mut label = Message::default();
            label.number(1, self.text("comm"));
            label.number(2, self.text(comm));
            message.message(3, &label);
        }
        if let Some(pid) = key.pid {
            let mut label = Message::default();
            label.number(1, self.text("pid"));
            label.number(3, pid.into());
            message.message(3, &label);
        }
        self.samples.push(message);
    }

    fn location(&mut self, frame: &Frame, kernel: bool) -> u64 {
        let name = match &frame.symbol {
            Symbol::Name(name) => name.to_string(),
            Symbol::Unknown(reason) => format!("[{reason}]"),
        };
        // pprof knows the kernel by this name.
        let file = frame.module.as_deref().unwrap_or(if kernel { "[kernel.kallsyms]" } else { "" });
        let mapping = if file.is_empty() { 0 } else { self.text(file) };
        let mapping = if mapping == 0 { 0 } else { self.mappings.number(mapping) };
        self.place(frame.address, mapping, (&name, file))
    }

    fn place(&mut self, address: u64, mapping: u64, (name, file): (&str, &str)) -> u64 {
        let function = (self.text(name), self.text(file));
        let function = self.functions.number(function);
        self.locations.number((address, mapping, function))
    }

    /// In the order of the fields.
    fn append_to(&self, profile: &mut Message) {
        self.samples.iter().for_each(|sample| profile.message(2, sample));
        for (id, file) in self.mappings.numbered() {
            let mut mapping = Message::default();
            mapping.number(1, id);
            mapping.number(5, *file);
            // Functions have names: nobody is to look for them.
            mapping.number(7, 1);
            profile.message(3, &mapping);
        }
        for (id, (address, mapping, function)) in self.locations.numbered() {
            let (mut location, mut line) = (Message::default(), Message::default());
            line.number(1, *function);
            location.number(1, id);
            location.number(2, *mapping);
            location.number(3, *address);
            location.message(4, &line);
            profile.message(4, &location);
        }
        for (id, (name, file)) in self.functions.numbered() {
            let mut function = Message::default();
            function.number(1, id);
            function.number(2, *name);
            function.number(3, *name);
            function.number(4, *file);
            profile.message(5, &function);
        }
        self.strings.numbered().for_each(|(_, text)| profile.text(6, text));
    }
}

/// Things, each once, by a number from 1 on: 0 is none.
struct Table<T> {
    items: Vec<T>,
    numbers: HashMap<T, u64>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Table<T> {
    fn number(&mut self, item: T) -> u64 {
        let next = self.items.len() as u64 + 1;
        let number = *self.numbers.entry(item.clone()).or_insert(next);
        if number == next {
            self.items.push(item);
        }
        number
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn numbered(&self) -> impl Iterator<Item = (u64, &T)> {
        (1..).zip(&self.items)
    }
}

#[cfg(test)]
#[path = "pprof/tests.rs"]
mod tests;
