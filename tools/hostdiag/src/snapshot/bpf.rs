//! Loaded BPF programs, and what they cost where the kernel counts that.

use std::collections::BTreeMap;
use std::io;

use aya::programs::{ProgramInfo, loaded_programs};
use hostdiag_model::snapshot::{Area, Unit};

use super::found::{Found, Key};
use super::rates::Counts;

/// Adds programs by name and type, with how many there are of each.
pub(super) fn gather(found: &mut Found<'_>) {
    let programs = match programs() {
        Ok(programs) => programs,
        Err(error) => return found.unreadable(Key { area: Area::Bpf, of: None, name: "programs" }, &error),
    };
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for program in &programs {
        *counted.entry((name(program), kind(program))).or_default() += 1;
    }
    found.value(Key { area: Area::Bpf, of: None, name: "programs" }, &programs.len().to_string());
    for ((name, kind), number) in &counted {
        found.value(Key { area: Area::Bpf, of: Some(name), name: kind }, &number.to_string());
    }
}

/// Runs and time of each, as far as the kernel counts them (`kernel.bpf_stats_enabled`).
pub(super) fn count(counts: &mut Counts) {
    for program in programs().unwrap_or_default() {
        let name = name(&program);
        let micros = u64::try_from(program.run_time().as_micros()).unwrap_or(u64::MAX);
        counts.add((Area::Bpf, Some(&name), "runs"), program.run_count());
        counts.add_in(Unit::Microseconds, (Area::Bpf, Some(&name), "run time"), micros);
    }
}

fn programs() -> io::Result<Vec<ProgramInfo>> {
    loaded_programs().map(|program| program.map_err(refused)).collect()
}

/// The system's own error, where it is one.
fn refused(error: aya::programs::ProgramError) -> io::Error {
    let text = error.to_string();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = source {
        if let Some(code) = one.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(code);
        }
        source = one.source();
    }
    io::Error::other(text)
}

/// The name, which the kernel cuts to 15 characters; of a program without one its tag.
fn name(program: &ProgramInfo) -> String {
    match program.name_as_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => format!("{:016x}", program.tag()),
    }
}

/// `cgroup_skb` of `BPF_PROG_TYPE_CGROUP_SKB`.
fn kind(program: &ProgramInfo) -> String {
    let name = format!("{:?}", program.program_type());
    name.strip_prefix("BPF_PROG_TYPE_").unwrap_or(&name).to_lowercase()
}
