//! Kernel modules whose functions are traced: whether they are still there.
//!
//! Trampolines, and kprobe.multi of newer kernels, hold a module. Kprobes do not:
//! with the module they are gone, and what else is traced goes on.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use hostdiag_model::trace::{Head, Mechanism};

/// Modules, each with the inode of its folder in sysfs, which another has when it
/// is loaded again.
#[derive(Debug, Default)]
pub struct Modules(Vec<(String, u64)>);

impl Modules {
    /// Those of the functions that are attached.
    pub fn of(head: &Head) -> Self {
        let user = [Mechanism::Uprobe, Mechanism::UprobeMulti];
        let kernel = head.attach.iter().filter(|attach| !user.contains(&attach.mechanism));
        let functions = kernel.flat_map(|attach| &attach.functions);
        let names: BTreeSet<&str> = functions.filter_map(|function| function.module.as_deref()).collect();
        Self(names.into_iter().filter_map(|name| Some((name.to_owned(), folder(name)?))).collect())
    }

    /// Those that were unloaded since, also where they were loaded again.
    pub fn unloaded(&self) -> impl Iterator<Item = &str> {
        let gone = |(name, inode): &&(String, u64)| folder(name) != Some(*inode);
        self.0.iter().filter(gone).map(|(name, _)| name.as_str())
    }
}

fn folder(name: &str) -> Option<u64> {
    Some(fs::metadata(format!("/sys/module/{name}")).ok()?.ino())
}
