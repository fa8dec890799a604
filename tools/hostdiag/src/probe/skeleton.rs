//! What the skeletons of programs have in common. Each is a type of its own, so
//! that much of it is macros.

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context, Result};
use hostdiag_model::trace::Filter;
use libbpf_rs::{MapCore, MapFlags};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::filter;

/// The module `skel`: what the build made of bpf/NAME.bpf.c.
macro_rules! skeleton {
    ($name:literal) => {
        #[allow(
            unsafe_code,
            clippy::all,
            clippy::restriction,
            missing_docs,
            unreachable_pub,
            dead_code,
            reason = "generated"
        )]
        mod skel {
            include!(concat!(env!("OUT_DIR"), "/", $name, ".skel.rs"));
        }
    };
}
pub(crate) use skeleton;

/// Sets up bpf/filter.bpf.h and bpf/alone.bpf.h in a skeleton that is open.
macro_rules! set_up {
    ($open:expr, $targets:expr, $filter:expr) => {{
        let reentrant = $targets.reentrant;
        $crate::probe::skeleton::set_up_filter!($open, $filter);
        $open.maps.busy.set_max_entries($crate::probe::skeleton::busy_room(reentrant))?;
        if let Some(rodata) = $open.maps.rodata_data.as_deref_mut() {
            rodata.reentrant = reentrant.into();
        }
    }};
}
pub(crate) use set_up;

/// Sets up bpf/filter.bpf.h alone.
macro_rules! set_up_filter {
    ($open:expr, $filter:expr) => {{
        $open.maps.pids.set_max_entries($crate::probe::filter::room(&$filter.pids))?;
        $open.maps.tids.set_max_entries($crate::probe::filter::room(&$filter.tids))?;
        if let Some(rodata) = $open.maps.rodata_data.as_deref_mut() {
            $crate::probe::filter::constants!(rodata, $filter);
        }
    }};
}
pub(crate) use set_up_filter;

/// Fills the maps of bpf/filter.bpf.h of a skeleton that is loaded.
macro_rules! fill {
    ($skel:expr, $filter:expr) => {
        $crate::probe::skeleton::fill_maps((&$skel.maps.pids, &$skel.maps.tids, &$skel.maps.cgroups), $filter)
    };
}
pub(crate) use fill;

/// Fills the maps of processes, threads and cgroups.
///
/// # Errors
/// `no-such-cgroup`; a map is full.
pub fn fill_maps(
    (pids, tids, cgroups): (&impl MapCore, &impl MapCore, &impl MapCore),
    filter: &Filter,
) -> Result<()> {
    filter::fill(pids, &filter.pids)?;
    filter::fill(tids, &filter.tids)?;
    filter.cgroup.as_ref().map_or(Ok(()), |path| filter::fill_cgroup(cgroups, path))
}

/// Fills the queue of bpf/group.bpf.h: of so many groups the first is that of all
/// others, the rest are to be given.
///
/// # Errors
/// The map has less room.
pub fn fill_unused(unused: &impl MapCore, groups: u32) -> Result<()> {
    for group in 1..groups {
        unused.update(&[], &group.to_ne_bytes(), MapFlags::ANY).context("failed to fill a queue")?;
    }
    Ok(())
}

/// BTF without a type, for libbpf to take instead of the kernel's, which it holds twice
/// while it reads it: of a program whose use of the kernel's structures is in branches
/// that its constants cut off. A use that is not would keep it from being loaded.
///
/// # Errors
/// There is no memory for a file.
pub fn no_types() -> std::io::Result<File> {
    // `struct btf_header`: magic, version, flags; its length; of types and of strings
    // where they begin and their length. The first string is the empty one.
    let mut btf = 0xeb9f_u16.to_ne_bytes().to_vec();
    btf.extend([1, 0]);
    [24_u32, 0, 0, 0, 1].iter().for_each(|word| btf.extend(word.to_ne_bytes()));
    btf.push(0);
    let mut file = File::from(memfd_create("btf", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&btf)?;
    Ok(file)
}

/// Entries of the map `busy`: CPUs, where it is used.
pub fn busy_room(reentrant: bool) -> u32 {
    let cpus = || libbpf_rs::num_possible_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok());
    if reentrant { cpus().unwrap_or(1) } else { 1 }
}

/// Events that the map `busy` has counted as missed, on all CPUs.
pub fn busy_missed(busy: &impl MapCore) -> u64 {
    let missed = |key: Vec<u8>| {
        let value = busy.lookup(&key, MapFlags::ANY).ok().flatten()?;
        // `struct busy`: inside, missed.
        value.as_chunks().0.get(1).copied().map(u64::from_ne_bytes)
    };
    busy.keys().filter_map(missed).sum()
}
