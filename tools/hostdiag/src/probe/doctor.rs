//! Which ways to attach work on this kernel, by attaching. Neither a kernel
//! version nor a name in BTF nor a program that loads tells: a kernel without
//! CONFIG_FPROBE has all of kprobe.multi's names and loads its programs, and a
//! locked-down one has fentry's.

use std::ffi::CString;
use std::fs::File;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;

use anyhow::{Context as _, Result};
use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use self::skel::{DoctorSkel, DoctorSkelBuilder};
use super::skeleton::skeleton;
use super::{quietly, reason};
use crate::kernel::facts::{Attempt, Mechanism};
use crate::process;
use crate::sys::{self, Many};

skeleton!("doctor");

/// Loads and attaches the program of this mechanism and detaches it again.
pub fn attempt(mechanism: Mechanism) -> Attempt {
    if mechanism == Mechanism::UprobeMulti {
        return match uprobe_multi() {
            Ok(true) => Attempt::Works,
            Ok(false) => Attempt::Refused("of a process it sees one thread alone".into()),
            Err(error) => Attempt::Refused(reason(&format!("{error:#}")).into()),
        };
    }
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
        Mechanism::Uprobe | Mechanism::UprobeMulti | Mechanism::PerfEvent => return None,
    })
}

fn attach(program: &str) -> libbpf_rs::Result<()> {
    let mut storage = MaybeUninit::uninit();
    let skel = load(program, &mut storage)?;
    let found = skel.object().progs_mut().find(|loaded| loaded.name() == program);
    // Dropping the link detaches it.
    found.map_or(Ok(()), |program| program.attach().map(drop))
}

fn load<'a>(program: &str, storage: &'a mut MaybeUninit<OpenObject>) -> libbpf_rs::Result<DoctorSkel<'a>> {
    let mut open = DoctorSkelBuilder::default().open(storage)?;
    for mut other in open.open_object_mut().progs_mut() {
        let chosen = other.name() == program;
        other.set_autoload(chosen);
    }
    open.load()
}

/// Attaches by uprobe.multi to a function of this process alone; whether calls of
/// another thread than its first are seen too. They were not up to 46ba0e49b642
/// (Linux 6.10 and stable kernels), and no name tells.
///
/// # Errors
/// The kernel refuses it.
pub fn uprobe_multi() -> Result<bool> {
    let (result, _) = quietly(|| {
        let mut storage = MaybeUninit::uninit();
        let skel = load("uprobe_multi", &mut storage)?;
        let process = std::process::id();
        let (file, offset) = place_of(called as fn() as usize as u64)?;
        let path = CString::new(process::path_of(&file).into_os_string().into_vec())?;
        let program = (skel.progs.uprobe_multi.as_fd(), Many::Entry);
        let _link = sys::attach_uprobe_multi(program, (&path, Some(process)), &[offset], &[0])?;
        let ended = std::thread::spawn(black_box(called as fn())).join();
        let calls = skel.maps.bss_data.as_deref().map_or(0, |data| data.calls);
        Ok(ended.is_ok() && calls > 0)
    });
    result
}

/// To be probed; nothing else calls it.
#[inline(never)]
fn called() {
    black_box(());
}

/// The file that has this address of this process, and where in it that is.
fn place_of(address: u64) -> Result<(File, u64)> {
    let process = std::process::id();
    let maps = process::maps(process)?;
    let mapping = maps.iter().find(|mapping| (mapping.start..mapping.end).contains(&address));
    let mapping = mapping.context("the program is not in its own memory map")?;
    Ok((process::open_mapped(process, mapping)?, address - mapping.start + mapping.offset))
}
