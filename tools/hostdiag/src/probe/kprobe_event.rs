//! Many kprobes as one event of tracefs, which is attached to and detached from
//! as one.
//!
//! Where a kernel has no kprobe.multi this is the quickest way to many functions:
//! perf kprobes are let go of one after the other, with a wait of all CPUs for
//! each (349 functions on a 6.1 guest: 24 s to attach and 52 to detach; by one
//! event 6 and 13). The definitions outlive a process that is killed, disabled
//! and free of cost, so their group is named after the process, and every start
//! removes those of processes that are gone (`kernel::leftovers`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::kernel::tracefs;

/// A defined event; removed when it is dropped, by when nothing may use it.
#[derive(Debug)]
pub struct KprobeEvent {
    group: String,
    /// Unlike that of any other event, because `kprobe_profile` shows no groups.
    name: String,
}

impl KprobeEvent {
    /// Defines an event of probes at these addresses. The error of each that the
    /// kernel refused comes back with its place in the list.
    ///
    /// # Errors
    /// tracefs cannot be written, or every address was refused.
    pub fn define(addresses: &[u64]) -> io::Result<(Self, Vec<(usize, io::Error)>)> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let group = format!("hostdiag_{}", std::process::id());
        let name = format!("{group}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        // Probes of one event must differ in symbol or offset, which addresses
        // have none of; and this symbol is found at once, being the first.
        let base = symbol("_stext")?;
        let mut file = definitions()?;
        let event = Self { group, name };
        let mut refused = Vec::new();
        for (place, address) in addresses.iter().enumerate() {
            let offset = address.checked_sub(base).ok_or(io::ErrorKind::InvalidInput);
            let line = offset.map(|offset| format!("p:{}/{} _stext+{offset}\n", event.group, event.name));
            if let Err(error) = line.map_err(io::Error::from).and_then(|line| file.write_all(line.as_bytes()))
            {
                refused.push((place, error));
            }
        }
        match refused.pop() {
            Some((_, error)) if refused.len() + 1 == addresses.len() => Err(error),
            last => {
                refused.extend(last);
                Ok((event, refused))
            }
        }
    }

    /// Its number as a tracepoint.
    ///
    /// # Errors
    /// tracefs cannot be read.
    pub fn id(&self) -> io::Result<u64> {
        let path = tracefs().join("events").join(&self.group).join(&self.name).join("id");
        fs::read_to_string(path)?.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Calls that its probes missed, which every kernel counts; absent where
    /// tracefs cannot be read.
    pub fn missed(&self) -> Option<u64> {
        missed(&fs::read_to_string(tracefs().join("kprobe_profile")).ok()?, &self.name)
    }
}

impl Drop for KprobeEvent {
    fn drop(&mut self) {
        // What cannot be removed now, the next start removes.
        let line = format!("-:{}/{}\n", self.group, self.name);
        let _ = definitions().and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

fn definitions() -> io::Result<File> {
    OpenOptions::new().append(true).open(tracefs().join("kprobe_events"))
}

/// The address of a symbol of the kernel's own code.
fn symbol(name: &str) -> io::Result<u64> {
    let file = io::BufReader::new(File::open(Path::new("/proc/kallsyms"))?);
    for line in io::BufRead::lines(file) {
        let line = line?;
        let mut words = line.split_whitespace();
        if let (Some(address), Some(_), Some(found), None) =
            (words.next(), words.next(), words.next(), words.next())
            && found == name
        {
            let address = u64::from_str_radix(address, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            return if address == 0 { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(address) };
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Lines of `kprobe_profile`: an event's name, hits, misses; one for each probe.
fn missed(profile: &str, name: &str) -> Option<u64> {
    let lines = profile.lines().filter_map(|line| line.trim_start().strip_prefix(name));
    lines.map(|counts| counts.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_of_all_probes_are_added() {
        let profile = "  hostdiag_7_0                      12               3\n\
                       \x20 hostdiag_7_0                       0               4\n\
                       \x20 other                              1               9\n";
        assert_eq!(missed(profile, "hostdiag_7_0"), Some(7));
        assert_eq!(missed(profile, "hostdiag_7_1"), Some(0));
    }

    #[test]
    fn a_symbol_has_an_address_or_a_reason() {
        match symbol("_stext") {
            Ok(address) => assert_ne!(address, 0),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        assert_eq!(symbol("no such symbol").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
