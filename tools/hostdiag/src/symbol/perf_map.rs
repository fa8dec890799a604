//! /tmp/perf-PID.map, in which a just-in-time compiler says what it put where:
//! tools/perf/Documentation/jit-interface.txt.
//!
//! Anybody can put files into /tmp, so one is read only if it is a regular file
//! of the process's user, reached through the process's own root directory and
//! over no link.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Name, Unknown};
use crate::process::{self, Links};

/// Larger ones are refused. A line takes about 60 bytes.
const LARGEST: u64 = 64 << 20;

/// The functions of a map, by address.
#[derive(Debug, Default)]
pub struct PerfMap {
    text: String,
    functions: Vec<Function>,
}

#[derive(Debug)]
struct Function {
    start: u64,
    size: u64,
    /// Its name in the text.
    name: std::ops::Range<usize>,
}

impl PerfMap {
    /// Of the text of a map: lines `START SIZE NAME`, the numbers hexadecimal.
    /// Other lines are left out: a compiler may be writing the last one.
    pub fn parse(text: String) -> Self {
        let mut functions: Vec<Function> =
            text.lines().filter_map(|line| function(line, text.as_ptr() as usize)).collect();
        // Stable and from the end: of several at one address the last is the
        // one that is there now.
        functions.reverse();
        functions.sort_by_key(|function| function.start);
        functions.dedup_by_key(|function| function.start);
        Self { text, functions }
    }

    /// The function that an address is in.
    pub fn find(&self, address: u64) -> Option<Name> {
        let below = self.functions.partition_point(|function| function.start <= address);
        let function = self.functions.get(below.checked_sub(1)?)?;
        let offset = address - function.start;
        if offset >= function.size {
            return None;
        }
        let name = self.text.get(function.name.clone())?;
        Some(Name { function: name.into(), offset: Some(offset), inlined: Vec::new() })
    }
}

/// `base` is where the whole text begins in memory.
fn function(line: &str, base: usize) -> Option<Function> {
    let (start, rest) = line.split_once(' ')?;
    let (size, name) = rest.trim_start().split_once(' ')?;
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let at = name.as_ptr() as usize - base;
    Some(Function { start: number(start)?, size: number(size)?, name: at..at + name.len() })
}

/// Opens the map of a process.
///
/// # Errors
/// `NoPerfMap` where there is none, `UnsafePerfMap` where it is not to be
/// trusted.
pub fn open(pid: u32) -> Result<File, Unknown> {
    let opened = process::identity(pid).and_then(|who| {
        let path = format!("tmp/perf-{}.map", who.own_pid);
        let file = process::open_in_root(&process::root(pid)?, Path::new(&path), Links::Refuse)?;
        Ok((file.metadata()?.uid() == who.user).then_some(file))
    });
    match opened {
        Ok(file) => file.ok_or(Unknown::UnsafePerfMap),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unknown::NoPerfMap),
        Err(_) => Err(Unknown::UnsafePerfMap),
    }
}

/// Reads a map from its beginning.
///
/// # Errors
/// `UnsafePerfMap` where it is too large, or cannot be read.
pub fn read(file: &mut File) -> Result<PerfMap, Unknown> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|_| Unknown::UnsafePerfMap)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Unknown::UnsafePerfMap);
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(PerfMap::parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_address() {
        let map = PerfMap::parse(
            "7f10 20 LazyCompile:~first a.js:1\nnot a line\n7f30 8 second\n7f50 0 empty\n7f30 10 newer\n7f"
                .to_owned(),
        );
        let name = |address| map.find(address).map(|name| (name.function, name.offset));
        assert_eq!(name(0x7f10), Some(("LazyCompile:~first a.js:1".into(), Some(0))));
        assert_eq!(name(0x7f2f), Some(("LazyCompile:~first a.js:1".into(), Some(0x1f))));
        assert_eq!(name(0x7f38), Some(("newer".into(), Some(8))));
        assert_eq!([name(0x7f0f), name(0x7f40), name(0x7f50), name(u64::MAX)], [None, None, None, None]);
    }
}
