//! Which ways to attach work on this kernel, by attaching. Neither a kernel
//! version nor a name in BTF nor a program that loads tells: a kernel without
//! CONFIG_FPROBE has all of kprobe.multi's names and loads its programs, and a
//! locked-down one has fentry's.

use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use self::skel::DoctorSkelBuilder;
use super::skeleton::skeleton;
use super::{quietly, reason};
use crate::kernel::facts::{Attempt, Mechanism};

skeleton!("doctor");

/// Loads and attaches the program of this mechanism and detaches it again.
pub fn attempt(mechanism: Mechanism) -> Attempt {
    let Some(program) = program(mechanism) else { return Attempt::NotTried("no program for it".into()) };
    let (result, _) = quietly(|| attach(program));
    match result {
        Ok(()) => Attempt::Works,
        Err(error) => Attempt::Refused(reason(&format!("{error:#}")).into()),
    }
}

/// The program in bpf/doctor.bpf.c; absent where nothing needs to be tried.
fn program(mechanism: Mechanism) -> Option<&'static str> {
    Some(match mechanism {
        Mechanism::Fentry => "fentry",
        Mechanism::Kprobe => "kprobe",
        Mechanism::KprobeMulti => "kprobe_multi",
        Mechanism::KprobeSession => "kprobe_session",
        Mechanism::Tracepoint => "tracepoint",
        Mechanism::RawTracepoint => "raw_tracepoint",
        Mechanism::Iterator => "iter_task",
        Mechanism::Uprobe => return None,
    })
}

fn attach(program: &str) -> libbpf_rs::Result<()> {
    let mut storage = MaybeUninit::uninit();
    let mut open = DoctorSkelBuilder::default().open(&mut storage)?;
    for mut other in open.open_object_mut().progs_mut() {
        let chosen = other.name() == program;
        other.set_autoload(chosen);
    }
    let skel = open.load()?;
    let found = skel.object().progs_mut().find(|loaded| loaded.name() == program);
    // Dropping the link detaches it.
    found.map_or(Ok(()), |program| program.attach().map(drop))
}
