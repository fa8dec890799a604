//! The interfaces the user named, out of what was read.

use std::collections::BTreeSet;

use anyhow::Result;
use hostdiag_model::stack::Stack;
use hostdiag_model::{Audit, OffloadData};

use crate::fail::{Code, Failure, did_you_mean};

/// Keeps the named interfaces and everything below them, with their entries.
/// Without names all stay.
///
/// # Errors
/// `no-such-interface` for a name that no namespace has, with the nearest ones.
pub fn only(data: &mut OffloadData, audit: &mut Audit, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    for name in names {
        if !data.namespaces.iter().any(|namespace| Stack::new(namespace).find(name).is_some()) {
            return Err(unknown(data, name));
        }
    }
    for namespace in &mut data.namespaces {
        let stack = Stack::new(namespace);
        let named = names.iter().filter_map(|name| stack.find(name));
        let kept: BTreeSet<usize> = named.flat_map(|at| std::iter::once(at).chain(stack.below(at))).collect();
        let mut at = 0;
        namespace.devices.retain(|_| {
            at += 1;
            kept.contains(&(at - 1))
        });
    }
    data.namespaces.retain(|namespace| !namespace.devices.is_empty());
    audit.entries.retain(|entry| {
        let mut there = data.namespaces.iter().filter(|namespace| namespace.name == entry.netns);
        there.any(|namespace| namespace.devices.iter().any(|device| device.name == entry.device))
    });
    Ok(())
}

fn unknown(data: &OffloadData, name: &str) -> anyhow::Error {
    let devices = || data.namespaces.iter().flat_map(|namespace| &namespace.devices);
    let hint = did_you_mean(name, devices().map(|device| device.name.as_str())).unwrap_or_else(|| {
        let known: Vec<&str> = devices().take(8).map(|device| device.name.as_str()).collect();
        format!("there are: {}", known.join(", "))
    });
    Failure::new(Code::NoSuchInterface, format!("no interface named \"{name}\"")).hint(hint).into()
}
