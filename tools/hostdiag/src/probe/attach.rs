//! Attaches programs to places and takes them away again.
//!
//! A program of one place is loaded anew for each (bpf/slot.bpf.h). Attaching
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
use crate::sys;

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

/// The programs of a tool, loaded by libbpf.
pub struct Programs<'a> {
    /// Those of one function through a trampoline, as libbpf has relocated them.
    pub traced: Sides<&'a [bpf_insn]>,
    /// Those of one place of any other kind likewise.
    pub probed: Sides<&'a [bpf_insn]>,
    /// Those of many functions.
    pub many: Option<Sides<BorrowedFd<'a>>>,
    /// Those of many functions of programs and libraries.
    pub user_many: Option<Sides<BorrowedFd<'a>>>,
    /// That of many functions which runs at their entries and their returns.
    pub session: Option<BorrowedFd<'a>>,
    /// That of the entries of many kprobes in one event, and its map from address to
    /// slot.
    pub by_address: Option<(BorrowedFd<'a>, MapHandle)>,
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
        one: &'a [bpf_insn],
        many: Option<BorrowedFd<'a>>,
        user_many: Option<BorrowedFd<'a>>,
    ) -> Self {
        let one = Sides { entry: Some(one), exit: None };
        let [many, user_many] =
            [many, user_many].map(|many| many.map(|entry| Sides { entry: Some(entry), exit: None }));
        Self { traced: one, probed: one, many, user_many, session: None, by_address: None }
    }
}

/// What is attached: detached when it is dropped.
#[derive(Default)]
pub struct Attached {
    /// Copies of the program of one place.
    programs: Vec<OwnedFd>,
    /// Links, and perf events that programs are attached to without one.
    links: Vec<OwnedFd>,
    /// Perf events under links.
    events: Vec<OwnedFd>,
    /// Kprobes in events.
    defined: Vec<Defined>,
    /// Programs of the tool itself that are attached, by their names.
    whole: Vec<&'static str>,
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
pub type Refused = (Target, io::Error);

/// Attaches to all targets in one way. What was refused comes back.
///
/// # Errors
/// Where the kernel refused them all, with its first reason.
pub fn attach(
    programs: &Programs<'_>,
    mechanism: Mechanism,
    targets: Vec<Target>,
) -> io::Result<(Attached, Vec<Refused>)> {
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
                attached.no_event = programs.by_address.is_some().then_some(error);
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
            whole: Vec::new(),
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
        self.whole.append(&mut other.whole);
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

    /// The copies that were loaded.
    pub fn programs(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.programs.iter().map(AsFd::as_fd)
    }

    /// Programs of many places that are attached: `many`, `user_many`, `session`,
    /// `by_address`.
    pub fn whole(&self) -> &[&'static str] {
        &self.whole
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
}
