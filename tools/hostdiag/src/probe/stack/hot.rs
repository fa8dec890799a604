//! Stacks that programs find without a look-up: `hot` of bpf/stack.bpf.h.

use std::io;

use libbpf_rs::MapCore;

use super::Counted;
use super::record::Key;
use crate::sys::Counters;

/// `struct hot_stack`, in words: its key has two, its count of events and its time follow.
const WORDS: usize = 8;

/// The table, which programs read and count in meanwhile.
pub(super) struct Hot {
    words: Counters,
    /// Of each place, which stack is there and what was measured of it at the last reading.
    stacks: Vec<Option<(Key, u64)>>,
}

impl Hot {
    /// Of the map `.data.hot`.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub(super) fn of(map: &dyn MapCore) -> io::Result<Self> {
        let places = map.value_size() as usize / (WORDS * size_of::<u64>());
        Ok(Self { words: Counters::map(map.as_fd(), places * WORDS)?, stacks: vec![None; places] })
    }

    /// Puts a stack there that has come, unless its place is taken.
    pub(super) fn add(&mut self, key: &Key) {
        let [first, second] = words(key);
        let place = first as usize % self.stacks.len().max(1);
        if let Some(free @ None) = self.stacks.get_mut(place) {
            *free = Some((*key, 0));
            // Programs take it for this stack once both are there.
            self.words.set(place * WORDS + 1, second);
            self.words.set(place * WORDS, first);
        }
    }

    /// Each stack: what was counted of it here, and what was measured at the last reading.
    pub(super) fn stacks(&mut self) -> impl Iterator<Item = (&Key, Counted, &mut u64)> {
        let counted = |place: usize| {
            let [events, time] = [2, 3].map(|word| self.words.get(place * WORDS + word));
            Counted { events, time }
        };
        let places = self.stacks.iter_mut().enumerate();
        places.filter_map(move |(place, stack)| {
            stack.as_mut().map(|(key, before)| (&*key, counted(place), before))
        })
    }
}

fn words(key: &Key) -> [u64; 2] {
    let (words, _) = key.as_chunks();
    [0, 1].map(|word| words.get(word).map_or(0, |word| u64::from_ne_bytes(*word)))
}
