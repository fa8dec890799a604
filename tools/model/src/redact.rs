//! Takes out of recordings what tells whose they are, so that they can be given away.
//!
//! | replaced | by |
//! |---|---|
//! | names of hosts, their domains and users, network namespaces | `host-1`, `domain-1`, `user-1`, `netns-1` |
//! | addresses: IPv4, IPv6, hardware; UUIDs | `ipv4-1`, `ipv6-1`, `mac-1`, `uuid-1` |
//! | names of devices that somebody thought of; not `eth0`, `vlan10`, `br-1a2b3c4d5e6f` | `dev-1` |
//! | texts that are arguments of calls, command lines and reasons of repairs | `text-1` |
//! | names of files, paths of cgroups | `file-1.conf`, `cgroup-1` |
//!
//! The same is replaced by the same in all recordings that are redacted together, and
//! those always by the same: pseudonyms are numbered as they are met. Hashes would tell
//! addresses to whoever tries all of them. In other text, as configuration and what the
//! kernel said, known names and all addresses are replaced. What is left is what
//! findings are of: stacks, names of functions, modules and commands (`comm`), numbers,
//! features, times, the kernel's release.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::offload::{Device, OffloadData};
use crate::recording::{Data, Recording};

mod device;
mod fields;
mod names;
mod trace;

/// What a text is, by which it is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A word of ours or of the kernel.
    Keep,
    /// Anything, with names or addresses in it.
    Text,
    /// Anything at all, and nothing of it is to stay.
    Whole,
    /// An expression of `argcount`: its literals are arguments.
    Expression,
    /// The name of a host, as `web17.example.org` or `root@web17:2222`.
    Host,
    /// The name of a network device.
    Device,
    /// The name of a network namespace.
    Netns,
    /// A hardware address.
    Mac,
    /// An address with or without the length of its prefix.
    Address,
    /// A path: the name of the file, and where it is no folder of the system that too.
    File,
    /// The path of a cgroup.
    Cgroup,
    /// The name of a user.
    User,
}

/// Calls with every text of a recording, which may be changed.
type Change<'a> = &'a mut dyn FnMut(Rule, &mut String);

/// Replaces names in recordings, each by the same pseudonym wherever it is.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    names: names::Names,
}

impl Redactor {
    /// Redacts recordings that belong together.
    ///
    /// # Errors
    /// One of them does not read as it did before: none of them is to be shown then.
    pub fn redact<'a>(
        &mut self,
        recordings: impl IntoIterator<Item = &'a mut Recording>,
    ) -> Result<(), serde_json::Error> {
        let mut all: Vec<_> = recordings.into_iter().collect();
        // A name can be in the text of another recording, before it is known as one.
        for recording in &mut all {
            visit(recording, &mut |rule, text| self.names.learn(rule, text))?;
        }
        for recording in &mut all {
            visit(recording, &mut |rule, text| *text = self.names.replaced(rule, text))?;
        }
        Ok(())
    }

    /// What stands for the name of a file; that of stdin stays.
    pub fn file(&mut self, name: &str) -> String {
        if name == "stdin" { name.to_owned() } else { self.names.replaced(Rule::File, name) }
    }
}

fn visit(recording: &mut Recording, change: Change<'_>) -> Result<(), serde_json::Error> {
    change(Rule::Host, &mut recording.host.name);
    if let Some(side) = &mut recording.side {
        change(Rule::Text, &mut side.group);
        change(Rule::Host, &mut side.target);
    }
    match &mut recording.data {
        Data::Offload(data, audit) => {
            offload(data, change)?;
            json(audit, change)?;
        }
        Data::Fix(fix) => json(fix, change)?,
        Data::Undo(undo) => json(undo, change)?,
        Data::History(history) => json(history, change)?,
        Data::Snapshot(snapshot) => {
            offload(&mut snapshot.offload, change)?;
            json(&mut snapshot.audit, change)?;
            // Those two are lines of their own, and not in its JSON.
            let (offload, audit) =
                (std::mem::take(&mut snapshot.offload), std::mem::take(&mut snapshot.audit));
            json(&mut **snapshot, change)?;
            (snapshot.offload, snapshot.audit) = (offload, audit);
        }
        Data::Trace(trace) => trace::visit(trace, change),
    }
    recording.loss.iter_mut().for_each(|loss| change(Rule::Text, &mut loss.what));
    Ok(())
}

/// Features have no names in them, and an order that objects would lose.
fn offload(data: &mut OffloadData, change: Change<'_>) -> Result<(), serde_json::Error> {
    let features: Vec<_> = devices(data).map(|device| device.features.take()).collect();
    json(data, change)?;
    devices(data).zip(features).for_each(|(device, features)| device.features = features);
    Ok(())
}

fn devices(data: &mut OffloadData) -> impl Iterator<Item = &mut Device> {
    data.namespaces.iter_mut().flat_map(|namespace| &mut namespace.devices)
}

/// Every text of a value by the name of its field, so that none is forgotten.
fn json<T: Serialize + DeserializeOwned>(value: &mut T, change: Change<'_>) -> Result<(), serde_json::Error> {
    let mut fields = serde_json::to_value(&*value)?;
    fields::visit(&mut fields, ["", ""], change);
    *value = serde_json::from_value::<T>(fields)?;
    Ok(())
}

/// A shared text is copied only if it changes.
fn shared(text: &mut Arc<str>, rule: Rule, change: Change<'_>) {
    let mut new = text.to_string();
    change(rule, &mut new);
    if *new != **text {
        *text = new.into();
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
