//! Attaches programs to places and takes them away again.
//!
//! A program of one place is loaded anew for each (bpf/slot.bpf.h). Attaching
//! and detaching one by one is mostly waiting for the kernel to see that no CPU
//! is in the code that changes, so many threads wait at once.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hostdiag_model::trace::Mechanism;
use libbpf_rs::libbpf_sys::bpf_insn;
use libbpf_rs::query::{LinkInfo, LinkTypeInfo, PerfEventType};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::kprobe_event::KprobeEvent;
use crate::sys::{self, Copied, Many};

/// In the place of a function's index, bpf/slot.bpf.h.
const SLOT: u64 = 0x5107_c0de_0be1_1a57;
/// Most threads that attach or detach.
const THREADS: usize = 64;
/// So many kprobes are attached on their own; more go into one event.
pub const ONE_BY_ONE: usize = 8;
/// Before the first instruction there is this where CPUs check that jumps land
/// on it (`endbr64`); ftrace's place is then behind it.
const ENDBR: u64 = 4;

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
        /// Its id in the BTF of the kernel.
        btf: Option<u32>,
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
    /// That of many functions which runs at their entries and their returns.
    pub session: Option<BorrowedFd<'a>>,
    /// That of the entries of many kprobes in one event, and its map from address to
    /// slot.
    pub by_address: Option<(BorrowedFd<'a>, MapHandle)>,
}

/// A program at the entry, and one at the return of a tool that looks at both.
#[derive(Clone, Copy, Debug)]
pub struct Sides<T> {
    /// At the entry.
    pub entry: T,
    /// At the return.
    pub exit: Option<T>,
}

impl<'a> Programs<'a> {
    /// Those of a tool that looks at entries, all in the same way.
    pub fn entries(one: &'a [bpf_insn], many: Option<BorrowedFd<'a>>) -> Self {
        let one = Sides { entry: one, exit: None };
        let many = many.map(|entry| Sides { entry, exit: None });
        Self { traced: one, probed: one, many, session: None, by_address: None }
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
    allow_files(count as u64 * 3 + 256);
    let (attached, mut refused) = match mechanism {
        Mechanism::KprobeMulti | Mechanism::KprobeSession => many(programs, mechanism, targets)?,
        Mechanism::Kprobe if count > ONE_BY_ONE => match as_event(programs, &targets) {
            Ok(done) => done,
            // One that cannot be armed keeps the others from it.
            Err(_) => one_by_one(programs, mechanism, targets)?,
        },
        _ => one_by_one(programs, mechanism, targets)?,
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

    /// Programs of many places that are attached: `many`, `session`, `by_address`.
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
/// and a link for each place. What is over the limit is refused by the kernel.
fn allow_files(wanted: u64) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft >= wanted {
        return;
    }
    // Only root may raise the second.
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

/// All functions at once.
fn many(
    programs: &Programs<'_>,
    mechanism: Mechanism,
    targets: Vec<Target>,
) -> io::Result<(Attached, Vec<Refused>)> {
    let attach = |targets: &[Target]| match (mechanism, &programs.many, programs.session) {
        (Mechanism::KprobeMulti, Some(many), _) => {
            // Exits come before entries: no call begins whose end nobody sees.
            let exit = many.exit.map(|exit| attach_list(exit, Many::Return, targets)).transpose()?;
            let entry = attach_list(many.entry, Many::Entry, targets)?;
            Ok([exit, Some(entry)].into_iter().flatten().collect::<Vec<_>>())
        }
        (Mechanism::KprobeSession, _, Some(session)) => {
            Ok(vec![attach_list(session, Many::Session, targets)?])
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    };
    let (links, refused) = halving(targets, attach)?;
    let mut attached = Attached::default();
    attached.links = links.into_iter().flatten().collect();
    attached.whole.push(if mechanism == Mechanism::KprobeSession { "session" } else { "many" });
    Ok((attached, refused))
}

/// Where one of a list cannot be had the kernel takes none, so the list is halved
/// down to the guilty ones, and the rest is attached without them.
///
/// # Errors
/// One that is no matter of this or that function.
fn halving<T>(
    targets: Vec<Target>,
    mut attach: impl FnMut(&[Target]) -> io::Result<T>,
) -> io::Result<(Vec<T>, Vec<Refused>)> {
    let (mut attached, mut refused, mut open) = (Vec::new(), Vec::new(), vec![targets]);
    while let Some(mut part) = open.pop() {
        match attach(&part) {
            Ok(link) => attached.push(link),
            Err(error) if is_general(&error) => return Err(error),
            Err(error) if part.len() < 2 => refused.extend(part.pop().map(|target| (target, error))),
            Err(_) => {
                let rest = part.split_off(part.len() / 2);
                open.extend([rest, part]);
            }
        }
    }
    Ok((attached, refused))
}

fn attach_list(program: BorrowedFd<'_>, when: Many, targets: &[Target]) -> io::Result<OwnedFd> {
    let addresses: Vec<u64> = targets.iter().map(address).collect::<io::Result<_>>()?;
    let slots: Vec<u64> = targets.iter().map(|target| target.slot.into()).collect();
    sys::attach_kprobe_multi(program, when, &addresses, &slots)
}

/// Whether the kernel has no such way at all, or lets us have none of it.
fn is_general(error: &io::Error) -> bool {
    let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
    use nix::errno::Errno::{ENOSYS, EOPNOTSUPP, EPERM};
    matches!(errno, ENOSYS | EOPNOTSUPP | EPERM) || error.kind() == io::ErrorKind::Unsupported
}

/// Many kprobes as one event.
fn as_event(programs: &Programs<'_>, targets: &[Target]) -> io::Result<(Attached, Vec<Refused>)> {
    let (program, slots) = programs.by_address.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let addresses: Vec<u64> = targets.iter().map(address).collect::<io::Result<_>>()?;
    for (target, address) in targets.iter().zip(&addresses) {
        for entry in [*address, address + ENDBR] {
            slots
                .update(&entry.to_ne_bytes(), &target.slot.to_ne_bytes(), MapFlags::ANY)
                .map_err(io::Error::other)?;
        }
    }
    let (probes, refused) = KprobeEvent::define(&addresses)?;
    let event = sys::open_event(sys::Place::Tracepoint(probes.id()?), false)?;
    let (link, event) = match sys::attach_event(*program, event.as_fd())? {
        Some(link) => (link, Some(event)),
        None => (event, None),
    };
    let mut attached = Attached::default();
    attached.defined.push(Defined { link, _event: event, probes });
    attached.whole.push("by_address");
    let refused = refused.into_iter().filter_map(|(place, error)| Some((targets.get(place)?.clone(), error)));
    Ok((attached, refused.collect()))
}

fn address(target: &Target) -> io::Result<u64> {
    match target.place {
        Place::Function { address: Some(address), .. } => Ok(address),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn one_by_one(
    programs: &Programs<'_>,
    mechanism: Mechanism,
    targets: Vec<Target>,
) -> io::Result<(Attached, Vec<Refused>)> {
    let pmu = match mechanism {
        Mechanism::Kprobe => pmu("kprobe")?,
        Mechanism::Uprobe => pmu("uprobe")?,
        _ => 0,
    };
    let sides = if mechanism == Mechanism::Fentry { programs.traced } else { programs.probed };
    let results = parallel(targets, |target| match both(sides, pmu, &target, mechanism) {
        Ok(attached) => Ok(attached),
        Err(error) => Err((target, error)),
    });
    let (mut attached, mut refused) = (Attached::default(), Vec::new());
    for result in results {
        match result {
            Ok(one) => attached.extend(one),
            Err(error) => refused.push(error),
        }
    }
    Ok((attached, refused))
}

/// Number of a PMU, by its name.
fn pmu(name: &str) -> io::Result<u32> {
    let text = fs::read_to_string(Path::new("/sys/bus/event_source/devices").join(name).join("type"))?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// A program for each side. The exit first: no call begins whose end nobody sees.
fn both(sides: Sides<&[bpf_insn]>, pmu: u32, target: &Target, mechanism: Mechanism) -> io::Result<Attached> {
    let mut attached = Attached::default();
    for (program, at_return) in [(sides.exit, true), (Some(sides.entry), false)] {
        let Some(program) = program else { continue };
        let program = copy_for(target.slot, program)?;
        attached.extend(one(&program, (mechanism, pmu), target, at_return)?);
    }
    Ok(attached)
}

fn one(
    program: &[bpf_insn],
    (mechanism, pmu): (Mechanism, u32),
    target: &Target,
    at_return: bool,
) -> io::Result<Attached> {
    let load = |copied| sys::load_program(c"hostdiag_one", copied, program);
    let (copy, place) = match (&target.place, mechanism) {
        (Place::Function { btf: Some(function), .. }, Mechanism::Fentry) => {
            let kind = if at_return { Copied::Fexit } else { Copied::Fentry };
            let copy = load(kind(*function))?;
            let link = sys::attach_tracing(copy.as_fd())?;
            return Ok(Attached::one(copy, link, None));
        }
        (Place::Function { address: Some(address), .. }, Mechanism::Kprobe) => {
            (load(Copied::Kprobe)?, sys::Place::Kprobe { pmu, address: *address })
        }
        (Place::Tracepoint(id), _) => (load(Copied::Tracepoint)?, sys::Place::Tracepoint(*id)),
        (Place::User { file, offset, pid }, _) => {
            let place = sys::Place::Uprobe { pmu, path: file, offset: *offset, pid: *pid };
            (load(Copied::Kprobe)?, place)
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let event = sys::open_event(place, at_return)?;
    Ok(match sys::attach_event(copy.as_fd(), event.as_fd())? {
        Some(link) => Attached::one(copy, link, Some(event)),
        None => Attached::one(copy, event, None),
    })
}

/// The program with a function's index in it.
fn copy_for(slot: u32, instructions: &[bpf_insn]) -> io::Result<Vec<bpf_insn>> {
    const LOAD_64: u8 = 0x18;
    let halves = |value: u64| ((value as u32).cast_signed(), ((value >> 32) as u32).cast_signed());
    let (low, high) = halves(SLOT);
    let mut copy = instructions.to_vec();
    // A load of 64 bits is two instructions, each with half of the number.
    let at = copy
        .windows(2)
        .position(|pair| pair[0].code == LOAD_64 && (pair[0].imm, pair[1].imm) == (low, high))
        .ok_or(io::ErrorKind::InvalidData)?;
    (copy[at].imm, copy[at + 1].imm) = halves(slot.into());
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_index_in_the_place_of_the_mark() {
        let instruction = |code, imm| bpf_insn { code, imm, ..Default::default() };
        let program = [
            instruction(0x18, SLOT as u32 as i32),
            instruction(0, 0),
            instruction(0x18, SLOT as u32 as i32),
            instruction(0, (SLOT >> 32) as i32),
        ];
        let copy: Vec<i32> =
            copy_for(7, &program).unwrap().iter().map(|instruction| instruction.imm).collect();
        assert_eq!(copy, [SLOT as u32 as i32, 0, 7, 0]);
        assert!(copy_for(7, &program[..2]).is_err());
    }

    #[test]
    fn a_list_is_halved_down_to_the_guilty() {
        let target = |slot| Target { slot, place: Place::Tracepoint(0) };
        let attach = |guilty: &'static [u32], code| {
            move |part: &[Target]| match part.iter().any(|target| guilty.contains(&target.slot)) {
                true => Err(io::Error::from_raw_os_error(code)),
                false => Ok(part.len()),
            }
        };
        let all = || (0..1000).map(target).collect::<Vec<_>>();
        let (links, refused) = halving(all(), attach(&[0, 617, 999], nix::libc::EINVAL)).unwrap();
        assert_eq!(links.iter().sum::<usize>(), 997);
        // As few links as halving gives.
        assert!(links.len() < 3 * 10, "{links:?}");
        let mut slots: Vec<u32> = refused.iter().map(|(target, _)| target.slot).collect();
        slots.sort_unstable();
        assert_eq!(slots, [0, 617, 999]);
        assert_eq!(halving(all(), attach(&[], 0)).unwrap().0, [1000]);
        assert!(halving(all(), attach(&[5], nix::libc::EOPNOTSUPP)).is_err());
    }

    #[test]
    fn work_in_many_threads_keeps_its_order() {
        let numbers: Vec<u32> = (0..1000).collect();
        assert_eq!(parallel(numbers.clone(), |number| number), numbers);
        assert_eq!(parallel(vec![1], |number| number + 1), [2]);
        assert!(parallel(Vec::<u32>::new(), |number| number).is_empty());
    }
}
