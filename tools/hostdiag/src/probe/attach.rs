//! Attaches programs to places and takes them away again.
//!
//! Programs are loaded once they are attached, as a kernel takes its time to verify one:
//! one of many places once, one of one place anew for each (bpf/slot.bpf.h). Attaching
//! and detaching one by one is mostly waiting for the kernel to see that no CPU
//! is in the code that changes, so many threads wait at once.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hostdiag_model::trace::Mechanism;
use libbpf_rs::MapHandle;
use libbpf_rs::libbpf_sys::bpf_insn;
use libbpf_rs::query::{LinkInfo, LinkTypeInfo, PerfEventType};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::kprobe_event::KprobeEvent;
use super::plan;
use crate::sys::{self, Kind};

mod many;
mod one;

/// Most threads that attach or detach.
const THREADS: usize = 64;
/// So many kprobes are attached on their own; more go into one event.
pub const ONE_BY_ONE: usize = 8;

/// Where a program can be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its index in the counters.
    pub slot: u32,
    /// Where it is.
    pub place: Place,
}

/// A place in the kernel or in a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A function of the kernel.
    Function {
        /// Its address; absent where fentry needs none.
        address: Option<u64>,
        /// What it is in the BTF of the kernel or its module.
        btf: Option<sys::TypeId>,
    },
    /// A tracepoint, by its number in tracefs.
    Tracepoint(u64),
    /// An offset into a file.
    User {
        /// The program or library.
        file: CString,
        /// Byte of the file.
        offset: u64,
        /// In this process alone.
        pid: Option<u32>,
    },
}

/// A program as libbpf has relocated it.
pub type Code<'a> = &'a [bpf_insn];

/// The programs of a tool.
pub struct Programs<'a> {
    /// What they are, for people: `the programs that count`.
    pub what: &'static str,
    /// Those of one function through a trampoline.
    pub traced: Sides<Code<'a>>,
    /// Those of one place of any other kind.
    pub probed: Sides<Code<'a>>,
    /// Those of many functions.
    pub many: Option<Sides<Code<'a>>>,
    /// Those of many functions of programs and libraries.
    pub user_many: Option<Sides<Code<'a>>>,
    /// That of many functions which runs at their entries and their returns.
    pub session: Option<Code<'a>>,
    /// That of the entries of many kprobes in one event, and its map from address to
    /// slot.
    pub by_address: Option<(Code<'a>, MapHandle)>,
}

/// A program at the entry and one at the return, as far as a tool looks at them.
#[derive(Clone, Copy, Debug)]
pub struct Sides<T> {
    /// At the entry.
    pub entry: Option<T>,
    /// At the return.
    pub exit: Option<T>,
}

impl<T> Sides<T> {
    /// Those of both that are needed.
    pub fn of(sides: plan::Sides, entry: T, exit: T) -> Self {
        let (entry, exit) = match sides {
            plan::Sides::Entry => (Some(entry), None),
            plan::Sides::Return => (None, Some(exit)),
            plan::Sides::Both => (Some(entry), Some(exit)),
        };
        Self { entry, exit }
    }
}

impl<'a> Programs<'a> {
    /// Those of a tool that looks at entries, all in the same way.
    pub fn entries(
        what: &'static str,
        one: Code<'a>,
        many: Option<Code<'a>>,
        user_many: Option<Code<'a>>,
    ) -> Self {
        let one = Sides { entry: Some(one), exit: None };
        let [many, user_many] =
            [many, user_many].map(|many| many.map(|entry| Sides { entry: Some(entry), exit: None }));
        Self { what, traced: one, probed: one, many, user_many, session: None, by_address: None }
    }
}

/// What is attached: detached when it is dropped.
#[derive(Default)]
pub struct Attached {
    /// The programs that run.
    programs: Vec<OwnedFd>,
    /// Links, and perf events that programs are attached to without one.
    links: Vec<OwnedFd>,
    /// Perf events under links.
    events: Vec<OwnedFd>,
    /// Kprobes in events.
    defined: Vec<Defined>,
    /// Why many kprobes are not one event, where they could have been.
    pub no_event: Option<io::Error>,
}

/// An event of many kprobes, and what holds the program to it: dropped in this order.
struct Defined {
    link: OwnedFd,
    _event: Option<OwnedFd>,
    probes: KprobeEvent,
}

/// A target that could not be attached, and why.
pub type Refused = (Target, Error);

/// Why something could not be attached.
#[derive(Debug)]
pub struct Error {
    /// What the kernel answered.
    pub source: io::Error,
    /// It was to the program itself, before that was to be attached anywhere.
    pub of_program: bool,
    /// What its verifier said at the end.
    pub verifier: Option<String>,
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self { source, of_program: false, verifier: None }
    }
}

impl From<io::ErrorKind> for Error {
    fn from(kind: io::ErrorKind) -> Self {
        io::Error::from(kind).into()
    }
}

/// Loads a program.
fn load(kind: Kind, code: Code<'_>) -> Result<OwnedFd, Error> {
    let load = |log: &mut [u8]| sys::load_program(c"hostdiag", kind, code, log);
    load(&mut []).map_err(|source| {
        // Once more for the reason: a log makes loading slow.
        let mut log = vec![0; 1 << 20];
        let _ = load(&mut log);
        Error { source, of_program: true, verifier: last_words(&log) }
    })
}

/// The end of a verifier's log, but for its statistics.
fn last_words(log: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(log.split(|byte| *byte == 0).next()?);
    let mut lines = text.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty() && !line.starts_with("processed ")).map(String::from)
}

/// Attaches to all targets in one way. What was refused comes back.
///
/// # Errors
/// Where the kernel refused them all, with its first reason.
pub fn attach(
    programs: &Programs<'_>,
    mechanism: Mechanism,
    targets: Vec<Target>,
) -> Result<(Attached, Vec<Refused>), Error> {
    let count = targets.len();
    let (attached, mut refused) = match mechanism {
        Mechanism::KprobeMulti | Mechanism::KprobeSession => many::functions(programs, mechanism, targets)?,
        Mechanism::UprobeMulti => many::user(programs, targets)?,
        Mechanism::Kprobe if count > ONE_BY_ONE => match many::as_event(programs, &targets) {
            Ok(done) => done,
            // One that cannot be armed keeps the others from it.
            Err(error) => {
                let (mut attached, refused) = one::one_by_one(programs, mechanism, targets)?;
                // The tool may have no program for it.
                attached.no_event = programs.by_address.is_some().then_some(error.source);
                (attached, refused)
            }
        },
        _ => one::one_by_one(programs, mechanism, targets)?,
    };
    if refused.len() == count && count > 0 {
        return Err(refused.swap_remove(0).1);
    }
    Ok((attached, refused))
}

impl Attached {
    fn one(program: OwnedFd, link: OwnedFd, event: Option<OwnedFd>) -> Self {
        Self {
            programs: vec![program],
            links: vec![link],
            events: event.into_iter().collect(),
            defined: Vec::new(),
            no_event: None,
        }
    }

    /// Takes over what others hold.
    pub fn extend(&mut self, other: Self) {
        let mut other = other;
        self.programs.append(&mut other.programs);
        self.links.append(&mut other.links);
        self.events.append(&mut other.events);
        self.defined.append(&mut other.defined);
    }

    /// Whether this kernel counts what kprobes and tracepoints leave out: the same
    /// change (about 6.7) brought that and the `missed` of a link.
    pub fn tells_missed(&self) -> bool {
        let mut links = self.links.iter().chain(self.defined.iter().map(|defined| &defined.link));
        links.next().is_some_and(|link| sys::link_tells_missed(link.as_fd()).unwrap_or(false))
    }

    /// Calls that the probes missed; absent where the kernel does not tell, or
    /// where there is nothing that could miss one by itself (fentry, tracepoints).
    pub fn missed(&self) -> Option<u64> {
        // Of the probes of an event its link knows the first alone.
        let defined = self.defined.iter().map(|defined| defined.probes.missed());
        let mut sum = if self.defined.is_empty() { None } else { defined.sum::<Option<u64>>() };
        if !self.tells_missed() {
            return if self.links.is_empty() { sum } else { None };
        }
        for link in &self.links {
            let missed = match LinkInfo::from_fd(link.as_fd()).map(|info| info.info) {
                Ok(LinkTypeInfo::KprobeMulti(info)) => info.missed,
                Ok(LinkTypeInfo::PerfEvent(info)) => match info.event_type {
                    PerfEventType::Kprobe { missed, .. } => missed,
                    _ => continue,
                },
                _ => continue,
            };
            sum = Some(sum.unwrap_or(0) + missed);
        }
        sum
    }

    /// The programs that run.
    pub fn programs(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.programs.iter().map(AsFd::as_fd)
    }

    /// How many descriptors are to be closed.
    pub fn len(&self) -> usize {
        self.links.len() + self.defined.len()
    }

    /// Whether nothing is attached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // An event ends with its link, so they go in this order.
        for descriptors in [&mut self.links, &mut self.events, &mut self.programs] {
            parallel(std::mem::take(descriptors), drop);
        }
        // Now that nothing uses them.
        self.defined.clear();
    }
}

/// Does the same with each of them, in many threads; the results in their order.
fn parallel<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    let size = items.len().div_ceil(THREADS);
    let mut items = items.into_iter();
    let mut chunks = Vec::new();
    while items.len() > 0 {
        chunks.push(items.by_ref().take(size).collect::<Vec<T>>());
    }
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = chunks
            .into_iter()
            .map(|chunk| scope.spawn(move || chunk.into_iter().map(work).collect::<Vec<R>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

/// Raises the limit of open files so far as that is allowed: a program, an event
/// and a link for each place, and what the tool itself needs. What is over the limit
/// is refused by the kernel.
pub fn allow_files(places: usize) {
    let wanted = places as u64 * 3 + 256;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft >= wanted {
        return;
    }
    // Only root may raise the second.
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_in_many_threads_keeps_its_order() {
        let numbers: Vec<u32> = (0..1000).collect();
        assert_eq!(parallel(numbers.clone(), |number| number), numbers);
        assert_eq!(parallel(vec![1], |number| number + 1), [2]);
        assert!(parallel(Vec::<u32>::new(), |number| number).is_empty());
    }

    #[test]
    fn the_reason_ends_a_log_of_the_verifier() {
        // Of a kprobe that does nothing but exit.
        let log = b"0: R1=ctx() R10=fp0\n0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) \
            max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n\0\0";
        assert_eq!(last_words(log).as_deref(), Some("R0 !read_ok"));
        assert_eq!(last_words(&[0; 9]), None);
    }
}
