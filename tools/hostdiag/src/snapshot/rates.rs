//! What happens on the host: counters that grow, read twice.

mod cpu;
mod net;

use std::collections::BTreeMap;
use std::io;

use hostdiag_model::snapshot::{Area, Rate, Unit};

use super::found::{Found, Key};
use super::{bpf, irqs, nics, qdiscs};

/// Area, of what, and name.
type Counter = (Area, Option<String>, String);
/// The same, borrowed.
type Name<'a> = (Area, Option<&'a str>, &'a str);

/// Adds the counters in a text.
type Parser = fn(&str, &mut Counts);

/// Counters at a moment.
#[derive(Debug, Default)]
pub(super) struct Counts {
    all: BTreeMap<Counter, (u64, Unit)>,
    /// Files that could not be read, and why.
    unread: BTreeMap<(Area, String), io::Error>,
}

impl Counts {
    /// Adds events to a counter.
    pub(super) fn add(&mut self, name: Name<'_>, count: u64) {
        self.add_in(Unit::Events, name, count);
    }

    /// Adds to a counter in a unit.
    pub(super) fn add_in(&mut self, unit: Unit, (area, of, name): Name<'_>, count: u64) {
        let key = (area, of.map(str::to_owned), name.to_owned());
        let (sum, _) = self.all.entry(key).or_insert((0, unit));
        *sum = sum.saturating_add(count);
    }

    /// Adds the counters of a file.
    fn file(&mut self, found: &Found<'_>, (area, path): (Area, &str), parse: impl FnOnce(&str, &mut Self)) {
        match found.text(path) {
            Ok(text) => parse(&text, self),
            Err(error) => drop(self.unread.insert((area, path.to_owned()), error)),
        }
    }

    /// Adds what could not be read to the settings.
    pub(super) fn unread(&self, found: &mut Found<'_>) {
        for ((area, path), error) in &self.unread {
            found.unreadable(Key { area: *area, of: None, name: path }, error);
        }
    }

    /// All counters of this host. What cannot be read is not counted.
    pub(super) fn read(found: &Found<'_>) -> Self {
        let mut counts = Self::default();
        cpu::count(found, &mut counts);
        net::count(found, &mut counts);
        counts.file(found, (Area::Irq, "/proc/interrupts"), |text, counts| {
            let all = irqs::interrupts(text);
            all.iter().for_each(|one| counts.add((Area::Irq, Some(&one.name), "interrupts"), one.count));
        });
        nics::count(&mut counts);
        qdiscs::count(&mut counts);
        bpf::count(&mut counts);
        counts
    }

    /// What was counted since `before`. A counter that is new, or that fell, was not
    /// counted. Of devices, CPUs and queues what did not happen is left out; of the host
    /// it is 0.
    pub(super) fn since(&self, before: &Self) -> Vec<Rate> {
        let rate = |((area, of, name), (count, unit)): (&Counter, &(u64, Unit))| {
            let (earlier, _) = before.all.get(&(*area, of.clone(), name.clone()))?;
            let count = count.checked_sub(*earlier)?;
            let kept = count > 0 || of.is_none() || *area == Area::Link;
            kept.then(|| Rate { area: *area, of: of.clone(), name: name.clone(), count, unit: *unit })
        };
        self.all.iter().filter_map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_difference() {
        let counts = |all: &[(Option<&str>, &str, u64)]| {
            let mut counts = Counts::default();
            all.iter().for_each(|(of, name, count)| counts.add((Area::Net, *of, name), *count));
            counts
        };
        let before =
            counts(&[(None, "a", 5), (None, "still", 1), (None, "fell", 9), (Some("cpu0"), "idle", 3)]);
        let after = counts(&[
            (None, "a", 7),
            (None, "still", 1),
            (None, "fell", 8),
            (None, "new", 8),
            (Some("cpu0"), "idle", 3),
        ]);
        let rates: Vec<_> = after.since(&before).into_iter().map(|rate| (rate.name, rate.count)).collect();
        assert_eq!(rates, [("a".to_owned(), 2), ("still".to_owned(), 0)]);
    }
}
