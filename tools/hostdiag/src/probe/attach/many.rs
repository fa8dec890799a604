//! Many functions in one go: a link for all of a kind, or one event of many kprobes.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hostdiag_model::trace::Mechanism;
use libbpf_rs::{MapCore as _, MapFlags};

use super::{Attached, Code, Defined, Error, Place, Programs, Refused, Sides, Target, load};
use crate::probe::kprobe_event::KprobeEvent;
use crate::sys::{self, Kind, Many};

/// Before the first instruction there is this where CPUs check that jumps land
/// on it (`endbr64`); ftrace's place is then behind it.
const ENDBR: u64 = 4;

/// All functions at once.
pub(super) fn functions(
    programs: &Programs<'_>,
    mechanism: Mechanism,
    targets: Vec<Target>,
) -> Result<(Attached, Vec<Refused>), Error> {
    let loaded = match (mechanism, programs.many, programs.session) {
        (Mechanism::KprobeMulti, Some(many), _) => load_sides(Kind::KprobeMulti, many)?,
        (Mechanism::KprobeSession, _, Some(session)) => {
            vec![(load(Kind::KprobeSession, session)?, Many::Session)]
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let mut attached = Attached::default();
    let refused = attach_halving(&mut attached.links, targets, &loaded, attach_list)?;
    attached.programs = loaded.into_iter().map(|(program, _)| program).collect();
    Ok((attached, refused))
}

/// All functions of programs and libraries, those of a file at once.
pub(super) fn user(programs: &Programs<'_>, targets: Vec<Target>) -> Result<(Attached, Vec<Refused>), Error> {
    let loaded = load_sides(Kind::UprobeMulti, programs.user_many.ok_or(io::ErrorKind::Unsupported)?)?;
    let (mut attached, mut refused) = (Attached::default(), Vec::new());
    for of_a_file in targets.chunk_by(|one, next| file(one) == file(next)) {
        let left = attach_halving(&mut attached.links, of_a_file.to_vec(), &loaded, attach_offsets)?;
        refused.extend(left);
    }
    attached.programs = loaded.into_iter().map(|(program, _)| program).collect();
    Ok((attached, refused))
}

/// The exit before the entry: no call begins whose end nobody sees.
fn load_sides(kind: Kind, sides: Sides<Code<'_>>) -> Result<Vec<(OwnedFd, Many)>, Error> {
    let sides = [(sides.exit, Many::Return), (sides.entry, Many::Entry)];
    let programs = sides.into_iter().filter_map(|(code, when)| Some((code?, when)));
    programs.map(|(code, when)| Ok((load(kind, code)?, when))).collect()
}

/// Attaches these programs to as many of the targets as they can be.
fn attach_halving(
    links: &mut Vec<OwnedFd>,
    targets: Vec<Target>,
    programs: &[(OwnedFd, Many)],
    attach: fn(BorrowedFd<'_>, Many, &[Target]) -> io::Result<OwnedFd>,
) -> io::Result<Vec<Refused>> {
    let all = |targets: &[Target]| {
        let links = programs.iter().map(|(program, when)| attach(program.as_fd(), *when, targets));
        links.collect::<io::Result<Vec<_>>>()
    };
    let (attached, refused) = halving(targets, all)?;
    links.extend(attached.into_iter().flatten());
    Ok(refused)
}

/// The file of a function of a program or library, and the only process.
fn file(target: &Target) -> Option<(&CStr, Option<u32>)> {
    match &target.place {
        Place::User { file, pid, .. } => Some((file, *pid)),
        _ => None,
    }
}

fn attach_offsets(program: BorrowedFd<'_>, when: Many, targets: &[Target]) -> io::Result<OwnedFd> {
    let offset = |target: &Target| match target.place {
        Place::User { offset, .. } => Ok(offset),
        _ => Err(io::ErrorKind::InvalidInput),
    };
    let offsets = targets.iter().map(offset).collect::<Result<Vec<u64>, _>>()?;
    let file = targets.first().and_then(file).ok_or(io::ErrorKind::InvalidInput)?;
    let slots: Vec<u64> = targets.iter().map(|target| target.slot.into()).collect();
    sys::attach_uprobe_multi((program, when), file, &offsets, &slots)
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
            Err(error) if part.len() < 2 => refused.extend(part.pop().map(|target| (target, error.into()))),
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
pub(super) fn as_event(
    programs: &Programs<'_>,
    targets: &[Target],
) -> Result<(Attached, Vec<Refused>), Error> {
    let (code, slots) = programs.by_address.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let addresses: Vec<u64> = targets.iter().map(address).collect::<io::Result<_>>()?;
    for (target, address) in targets.iter().zip(&addresses) {
        for entry in [*address, address + ENDBR] {
            slots
                .update(&entry.to_ne_bytes(), &target.slot.to_ne_bytes(), MapFlags::ANY)
                .map_err(io::Error::other)?;
        }
    }
    let program = load(Kind::Kprobe, code)?;
    let (probes, refused) = KprobeEvent::define(&addresses)?;
    let event = sys::open_event(sys::Place::Tracepoint(probes.id()?), false)?;
    let (link, event) = match sys::attach_event(program.as_fd(), event.as_fd())? {
        Some(link) => (link, Some(event)),
        None => (event, None),
    };
    let mut attached = Attached::default();
    attached.defined.push(Defined { link, _event: event, probes });
    attached.programs.push(program);
    let refused =
        refused.into_iter().filter_map(|(place, error)| Some((targets.get(place)?.clone(), error.into())));
    Ok((attached, refused.collect()))
}

fn address(target: &Target) -> io::Result<u64> {
    match target.place {
        Place::Function { address: Some(address), .. } => Ok(address),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
