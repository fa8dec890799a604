//! What is loaded is what is attached.
use std::collections::HashSet;

use aya::maps::MapInfo;
use aya::programs::loaded_programs;
use nix::unistd::gettid;

use crate::lab::{Tracing, btf, wait_until};

const GETPGID: &str = "__x64_sys_getpgid";

fn loaded() -> HashSet<u32> {
    loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect()
}

/// The programs of a run that are attached, each with the names of its maps.
fn programs_of(args: &[&str]) -> Vec<HashSet<String>> {
    let before = loaded();
    let tracing = Tracing::start(args);
    let ours = loaded_programs().filter_map(Result::ok).filter(|program| !before.contains(&program.id()));
    let maps = ours.map(|program| {
        let ids = program.map_ids().unwrap().unwrap();
        ids.into_iter().map(|id| MapInfo::from_id(id).unwrap().name_as_str().unwrap().to_owned()).collect()
    });
    // But for the one that tells what stacks are of.
    let maps = maps.filter(|maps: &HashSet<String>| !maps.contains("ksym_bpf.rodata"));
    let maps = maps.collect();
    tracing.record();
    wait_until("the kernel has let go of everything", || loaded().is_subset(&before));
    maps
}

/// A kernel takes its time to verify one that does not run.
#[test]
fn attach_loads_no_other_programs() {
    for (tool, number) in [("funccount", 1), ("funclatency", 2), ("stackcount", 1)] {
        for way in ["auto", "fentry", "kprobe"] {
            let programs = programs_of(&[tool, "--format", "json", "--attach", way, GETPGID]);
            assert_eq!(programs.len(), number, "{tool} {way}: {programs:?}");
        }
    }
}

/// The guard costs as much as counting does: on kernels before 5.12 those have it that may
/// be entered again, on others none.
#[test]
fn attach_guards_what_may_be_entered_again() {
    let guarded = |filter: &[&str]| {
        let all = [&["funccount", "--format", "json", "--attach", "fentry", GETPGID], filter].concat();
        programs_of(&all).iter().all(|maps| maps.contains("busy"))
    };
    assert!(!guarded(&[]));
    assert_eq!(guarded(&["--tid", &gettid().to_string()]), !btf("recursion_misses"));
}
