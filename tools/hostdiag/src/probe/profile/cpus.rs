//! The events that sample CPUs: one for each that is online, also where one comes
//! or goes meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::probe::filter;
use crate::sys::{self, Clock, Place};

/// CPUs that are sampled.
pub(super) struct Cpus {
    program: OwnedFd,
    clock: Clock,
    hz: u32,
    /// These alone; of none all.
    wanted: Vec<u32>,
    open: Vec<Event>,
    /// What was sampled of each by events that are closed.
    closed: BTreeMap<u32, Sampled>,
}

/// How long a CPU was sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sampled {
    /// Nanoseconds.
    pub(super) time: u64,
    /// Events that did, one after the other.
    pub(super) events: u64,
}

/// The event of one CPU. Closed on drop, and the program is off it then.
struct Event {
    cpu: u32,
    file: File,
    /// On kernels where the program is attached by one.
    _link: Option<OwnedFd>,
    /// Nanoseconds that it had run when counting began, and when it was last read.
    start: u64,
    now: u64,
}

impl Cpus {
    /// Opens the events: of the processor's cycles where it counts them, else of the
    /// kernel's clock. Returns why it is not the former.
    ///
    /// # Errors
    /// Those of `perf_event_open(2)`; `NotFound` where none of the wanted CPUs is online.
    pub(super) fn open(
        program: BorrowedFd<'_>,
        hz: u32,
        wanted: &[u32],
    ) -> io::Result<(Self, Option<io::Error>)> {
        let new = |clock| {
            let program = program.try_clone_to_owned()?;
            let mut cpus = Self {
                program,
                clock,
                hz,
                wanted: wanted.to_vec(),
                open: Vec::new(),
                closed: BTreeMap::new(),
            };
            let missing = cpus.missing();
            if missing.is_empty() {
                return Err(io::ErrorKind::NotFound.into());
            }
            // All of one kind: samples of another would weigh more or less.
            missing.into_iter().try_for_each(|cpu| cpus.add(cpu))?;
            io::Result::Ok(cpus)
        };
        match cycles_count().and_then(|()| new(Clock::Cycles)) {
            Ok(cpus) => Ok((cpus, None)),
            Err(why) => new(Clock::Cpu).map(|cpus| (cpus, Some(why))),
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// CPUs that are sampled now.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// From now on time counts.
    pub(super) fn start(&mut self) {
        for event in &mut self.open {
            event.now = running(&mut event.file).unwrap_or(event.now);
            event.start = event.now;
        }
    }

    /// Reads the events. One whose CPU went offline stands still for ever, also when
    /// the CPU comes back (perf_event_exit_cpu, kernel/events/core.c): another takes
    /// its place then.
    pub(super) fn refresh(&mut self) {
        for mut event in std::mem::take(&mut self.open) {
            match running(&mut event.file) {
                Ok(now) if now > event.now => {
                    event.now = now;
                    self.open.push(event);
                }
                _ => self.closed.entry(event.cpu).or_default().add(&event),
            }
        }
        for cpu in self.missing() {
            // Gone again; the next time will tell.
            let _ = self.add(cpu);
        }
    }

    /// How long each CPU was sampled.
    pub(super) fn sampled(&self) -> BTreeMap<u32, Sampled> {
        let mut all = self.closed.clone();
        self.open.iter().for_each(|event| all.entry(event.cpu).or_default().add(event));
        all
    }

    /// CPUs to sample that have no event.
    fn missing(&self) -> Vec<u32> {
        let wanted = |cpu: &u32| self.wanted.is_empty() || self.wanted.contains(cpu);
        let has = |cpu: u32| self.open.iter().any(|event| event.cpu == cpu);
        filter::online().into_iter().filter(|cpu| wanted(cpu) && !has(*cpu)).collect()
    }

    fn add(&mut self, cpu: u32) -> io::Result<()> {
        let event = sys::open_event(Place::Sampled { clock: self.clock, cpu, hz: self.hz }, false)?;
        let link = sys::attach_event(self.program.as_fd(), event.as_fd())?;
        let mut file = File::from(event);
        let start = running(&mut file)?;
        self.open.push(Event { cpu, file, _link: link, start, now: start });
        Ok(())
    }
}

impl Sampled {
    fn add(&mut self, event: &Event) {
        self.time += event.now.saturating_sub(event.start);
        self.events += 1;
    }
}

/// Nanoseconds that an event ran, from what it gives when it is read (read_format,
/// sys/perf.rs).
fn running(event: &mut File) -> io::Result<u64> {
    let [_, _, running] = counted(event)?;
    Ok(running)
}

fn counted(event: &mut File) -> io::Result<[u64; 3]> {
    let mut bytes = [0; 24];
    event.read_exact(&mut bytes)?;
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Ok(words)
}

/// Whether the processor counts cycles: some virtual machines open the event and
/// count none.
fn cycles_count() -> io::Result<()> {
    let mut event = File::from(sys::open_event(Place::OwnCycles, false)?);
    for number in 0..100_000_u32 {
        black_box(number);
    }
    match counted(&mut event)? {
        [0, ..] => Err(io::Error::other("they are not counted")),
        _ => Ok(()),
    }
}
