//! What the skeletons of programs have in common. Each is a type of its own, so
//! that much of it is macros.

use std::fs::File;
use std::io::{self, Write as _};

use anyhow::{Context, Result};
use hostdiag_model::trace::Filter;
use libbpf_rs::{MapCore, MapFlags, ObjectBuilder, OpenObject};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::btf::Types;
use super::kfunc::Kfuncs;
use super::{core_types, filter};
use crate::process::path_of;
use crate::sys;

/// The module `skel`: what the build made of bpf/NAME.bpf.c.
macro_rules! skeleton {
    ($name:literal) => {
        #[allow(
            unsafe_code,
            clippy::all,
            clippy::restriction,
            clippy::too_many_lines,
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

/// Sets up bpf/filter.bpf.h, bpf/alone.bpf.h and bpf/compat.bpf.h in a skeleton that is
/// open.
macro_rules! set_up {
    ($open:expr, $targets:expr, ($filter:expr, $kfuncs:expr)) => {{
        let reentrant = $targets.reentrant;
        $crate::probe::skeleton::set_up_filter!($open, $filter);
        $open.maps.busy.set_max_entries($crate::probe::skeleton::busy_room(reentrant))?;
        if let Some(rodata) = $open.maps.rodata_data.as_deref_mut() {
            rodata.reentrant = reentrant.into();
            rodata.preempt_kfuncs = $kfuncs.preempt().into();
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

/// The kernel's types as far as the programs of an object need them.
pub struct KernelTypes {
    /// BTF for libbpf; nothing where the kernel's is not understood here, so that libbpf
    /// reads that itself.
    file: Option<File>,
    /// What they call of the kernel.
    pub kfuncs: Kfuncs,
}

impl KernelTypes {
    /// Those of an object that is open for that alone.
    ///
    /// # Errors
    /// There is no memory for a file.
    pub fn of(object: &OpenObject) -> io::Result<Self> {
        let kernel = sys::KernelFile::open(super::BTF).unwrap_or_default();
        let Some(types) = Types::of(&kernel, None) else {
            return Ok(Self { file: None, kfuncs: Kfuncs::default() });
        };
        let small = core_types::small(&types, sys::object_types(object));
        Ok(Self { file: small.map(|btf| file_of(&btf)).transpose()?, kfuncs: Kfuncs::of(&types) })
    }

    /// For programs that use none in what their constants leave of them, and of the kernel
    /// call `kfuncs`.
    ///
    /// # Errors
    /// There is no memory for a file.
    pub fn none(kfuncs: Kfuncs) -> io::Result<Self> {
        Ok(Self { file: Some(file_of(&core_types::none())?), kfuncs })
    }

    /// Has libbpf take these types. They have to outlive the loading.
    ///
    /// # Errors
    /// None.
    pub fn give(&self, builder: &mut ObjectBuilder) -> libbpf_rs::Result<()> {
        match &self.file {
            Some(file) => builder.btf_custom_path(path_of(file)).map(|_| ()),
            None => Ok(()),
        }
    }
}

fn file_of(btf: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("btf", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(btf)?;
    Ok(file)
}

/// Opens a skeleton, with [`KernelTypes`] that are to be kept until it is loaded.
macro_rules! open {
    ($builder:ident, $storage:expr) => {{
        let mut storage = std::mem::MaybeUninit::uninit();
        let types =
            $crate::probe::skeleton::KernelTypes::of($builder::default().open(&mut storage)?.open_object())?;
        $crate::probe::skeleton::open_with!($builder, $storage, types)
    }};
}
pub(crate) use open;

/// The same of programs that use the kernel's types in bpf/filter.bpf.h alone, where they
/// mostly need none: to read them takes longer than all the rest.
macro_rules! open_filtered {
    ($builder:ident, $storage:expr, $kfuncs:expr) => {
        if $crate::probe::filter::needs_types() {
            $crate::probe::skeleton::open!($builder, $storage)
        } else {
            let types = $crate::probe::skeleton::KernelTypes::none($kfuncs)?;
            $crate::probe::skeleton::open_with!($builder, $storage, types)
        }
    };
}
pub(crate) use open_filtered;

/// The same with these [`KernelTypes`].
macro_rules! open_with {
    ($builder:ident, $storage:expr, $types:expr) => {{
        let types = $types;
        let mut builder = $builder::default();
        types.give(builder.object_builder_mut())?;
        let mut open = builder.open($storage)?;
        types.kfuncs.put_into(open.open_object_mut())?;
        (open, types)
    }};
}
pub(crate) use open_with;

/// Loads a skeleton whose programs are loaded as they are attached
/// ([`crate::probe::attach::Programs`]).
macro_rules! load {
    ($open:ident) => {{
        $crate::sys::relocate($open.open_object_mut())?;
        $open.load()
    }};
}
pub(crate) use load;

/// How many CPUs the kernel may have in all: those of its per-CPU maps.
pub fn possible_cpus() -> u32 {
    libbpf_rs::num_possible_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1)
}

/// Entries of the map `busy`: CPUs, where it is used.
pub fn busy_room(reentrant: bool) -> u32 {
    if reentrant { possible_cpus() } else { 1 }
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
