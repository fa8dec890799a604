//! Which events count: into the constants and maps of bpf/filter.bpf.h.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::{Context, Result};
use hostdiag_model::trace::Filter;
use libbpf_rs::{MapCore, MapFlags};

use super::process;
use crate::fail::{Code, Failure};

/// Words of 64 CPUs, as in bpf/filter.bpf.h.
const CPU_WORDS: usize = 128;
/// Where cgroups of version 2 are, where a path is not from the root folder.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The constants of bpf/filter.bpf.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "described where they are used, bpf/filter.bpf.h")]
pub struct Constants {
    pub pid_ns: u32,
    pub any_filter: u32,
    pub pid_count: u32,
    pub tid_count: u32,
    pub pid: u32,
    pub tid: u32,
    pub by_comm: u32,
    pub comm: [u64; 2],
    pub by_cgroup: u32,
    pub by_cpu: u32,
    pub cpus: [u64; CPU_WORDS],
}

impl Constants {
    /// Those of a filter.
    pub fn of(filter: &Filter) -> Self {
        let count = |list: &[u32]| u32::try_from(list.len()).unwrap_or(u32::MAX);
        let first = |list: &[u32]| list.first().copied().unwrap_or_default();
        let mut comm = [0_u8; 16];
        let name = filter.comm.as_deref().unwrap_or_default().as_bytes();
        comm.iter_mut().take(15).zip(name).for_each(|(to, from)| *to = *from);
        let (words, _) = comm.as_chunks::<8>();
        let mut cpus = [0; CPU_WORDS];
        for cpu in &filter.cpus {
            if let Some(word) = cpus.get_mut(*cpu as usize / 64) {
                *word |= 1_u64 << (cpu % 64);
            }
        }
        Self {
            pid_ns: process::pid_namespace(),
            any_filter: (*filter != Filter::default()).into(),
            pid_count: count(&filter.pids),
            tid_count: count(&filter.tids),
            pid: first(&filter.pids),
            tid: first(&filter.tids),
            by_comm: filter.comm.is_some().into(),
            comm: [u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])],
            by_cgroup: filter.cgroup.is_some().into(),
            by_cpu: (!filter.cpus.is_empty()).into(),
            cpus,
        }
    }
}

/// Whether bpf/filter.bpf.h reads structures of the kernel on this host: for numbers of
/// a PID namespace.
pub fn needs_types() -> bool {
    process::pid_namespace() != 0
}

/// Writes the constants into the read-only data of a skeleton, whose type is its own.
macro_rules! constants {
    ($rodata:expr, $filter:expr) => {{
        let constants = $crate::probe::filter::Constants::of($filter);
        $rodata.any_filter = constants.any_filter;
        $rodata.pid_ns = constants.pid_ns;
        $rodata.pid_count = constants.pid_count;
        $rodata.tid_count = constants.tid_count;
        $rodata.pid = constants.pid;
        $rodata.tid = constants.tid;
        $rodata.by_comm = constants.by_comm;
        $rodata.comm = constants.comm;
        $rodata.by_cgroup = constants.by_cgroup;
        $rodata.by_cpu = constants.by_cpu;
        $rodata.cpus = constants.cpus;
    }};
}
pub(crate) use constants;

/// Room that a list needs in its map.
pub fn room(list: &[u32]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX).max(1)
}

/// Puts a list into its map.
pub fn fill(map: &impl MapCore, list: &[u32]) -> Result<()> {
    for number in list {
        map.update(&number.to_ne_bytes(), &1_u32.to_ne_bytes(), MapFlags::ANY)
            .context("failed to fill a filter")?;
    }
    Ok(())
}

/// Puts a cgroup into its map.
///
/// # Errors
/// `no-such-cgroup` where there is none at that path, or one of version 1.
pub fn fill_cgroup(map: &impl MapCore, path: &str) -> Result<()> {
    let path = Path::new(path);
    let path =
        if path.starts_with(CGROUPS) { path.to_owned() } else { Path::new(CGROUPS).join(relative(path)) };
    let missing = |why: String| {
        Failure::new(Code::NoSuchCgroup, format!("{}: {why}", path.display()))
            .hint("a path below /sys/fs/cgroup, of cgroup version 2: systemd-cgls shows them")
    };
    let folder = File::open(&path).map_err(|error| missing(super::reason(&error.to_string()).to_owned()))?;
    let folder_of = folder.as_raw_fd().to_ne_bytes();
    map.update(&0_u32.to_ne_bytes(), &folder_of, MapFlags::ANY)
        .map_err(|error| missing(format!("the kernel does not take it as a cgroup: {error}")))?;
    Ok(())
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// CPUs as they are typed, `0-3,8`, as in cpuset(7).
///
/// # Errors
/// What is wrong, for clap to print.
pub fn cpu_list(text: &str) -> Result<Vec<u32>, String> {
    let wrong = || format!("{text:?} is no list of CPUs as 0-3,8");
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last as usize >= CPU_WORDS * 64 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// CPUs that are online (/sys/devices/system/cpu/online); the first alone where
/// nobody tells.
pub fn online() -> Vec<u32> {
    let mut text = String::new();
    let read =
        File::open("/sys/devices/system/cpu/online").and_then(|mut file| file.read_to_string(&mut text));
    read.ok().and_then(|_| cpu_list(text.trim()).ok()).unwrap_or_else(|| vec![0])
}

/// How many CPUs are online; 1 where nobody tells.
pub fn online_cpus() -> u32 {
    u32::try_from(online().len()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_those_of_the_filter() {
        let none = Constants::of(&Filter::default());
        assert_eq!(
            (none.any_filter, none.pid_count, none.tid_count, none.by_comm, none.by_cgroup, none.by_cpu),
            (0, 0, 0, 0, 0, 0)
        );
        let filter = Filter {
            pids: vec![7, 8],
            tids: vec![9],
            comm: Some("a-name-that-is-longer-than-15-bytes".into()),
            cgroup: None,
            cpus: vec![0, 65],
        };
        let constants = Constants::of(&filter);
        assert_eq!(constants.any_filter, 1);
        assert_eq!((constants.pid_count, constants.tid_count, constants.tid), (2, 1, 9));
        let [first, second] = constants.comm.map(u64::to_ne_bytes);
        assert_eq!((&first, &second), (b"a-name-t", b"hat-is-\0"));
        assert_eq!((constants.by_cpu, &constants.cpus[..3]), (1, &[1, 2, 0][..]));
    }

    #[test]
    fn cpus_are_listed_as_the_kernel_does() {
        assert_eq!(cpu_list("0-2,5"), Ok(vec![0, 1, 2, 5]));
        assert_eq!(cpu_list("3,1,1"), Ok(vec![1, 3]));
        for wrong in ["", "a", "2-1", "1-", "-1", "99999"] {
            assert!(cpu_list(wrong).is_err(), "{wrong}");
        }
    }
}
