//! One program for each place, loaded with the function's index in it.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use hostdiag_model::trace::Mechanism;
use libbpf_rs::libbpf_sys::bpf_insn;

use super::{Attached, Code, Error, Place, Programs, Refused, Sides, Target, load, parallel};
use crate::sys::{self, Kind};

/// In the place of a function's index, bpf/slot.bpf.h.
const SLOT: u64 = 0x5107_c0de_0be1_1a57;

/// All of them, in many threads.
pub(super) fn one_by_one(
    programs: &Programs<'_>,
    mechanism: Mechanism,
    targets: Vec<Target>,
) -> Result<(Attached, Vec<Refused>), Error> {
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
fn both(sides: Sides<Code<'_>>, pmu: u32, target: &Target, mechanism: Mechanism) -> Result<Attached, Error> {
    let mut attached = Attached::default();
    for (program, at_return) in [(sides.exit, true), (sides.entry, false)] {
        let Some(program) = program else { continue };
        let program = copy_for(target.slot, program)?;
        attached.extend(one(&program, (mechanism, pmu), target, at_return)?);
    }
    Ok(attached)
}

fn one(
    program: Code<'_>,
    (mechanism, pmu): (Mechanism, u32),
    target: &Target,
    at_return: bool,
) -> Result<Attached, Error> {
    let load = |kind| load(kind, program);
    let (copy, place) = match (&target.place, mechanism) {
        (Place::Function { btf: Some(function), .. }, Mechanism::Fentry) => {
            let kind = if at_return { Kind::Fexit } else { Kind::Fentry };
            let copy = load(kind(*function))?;
            let link = sys::attach_tracing(copy.as_fd())?;
            return Ok(Attached::one(copy, link, None));
        }
        (Place::Function { address: Some(address), .. }, Mechanism::Kprobe) => {
            (load(Kind::Kprobe)?, sys::Place::Kprobe { pmu, address: *address })
        }
        (Place::Tracepoint(id), _) => (load(Kind::Tracepoint)?, sys::Place::Tracepoint(*id)),
        (Place::User { file, offset, pid }, _) => {
            let place = sys::Place::Uprobe { pmu, path: file, offset: *offset, pid: *pid };
            (load(Kind::Kprobe)?, place)
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
fn copy_for(slot: u32, instructions: Code<'_>) -> io::Result<Vec<bpf_insn>> {
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
}
