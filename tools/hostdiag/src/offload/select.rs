//! The interfaces the user named, out of what was read.

use std::collections::BTreeSet;

use anyhow::Result;
use hostdiag_model::stack::Stack;
use hostdiag_model::{Audit, Namespace, OffloadData};

use crate::fail::{Code, Failure, did_you_mean};

/// The namespaces with just the named interfaces and everything below them;
/// without names whole. Of the audit only entries of those stay.
///
/// # Errors
/// `no-such-interface` for a name that no namespace has, with the nearest ones.
pub fn only(data: &OffloadData, audit: &mut Audit, names: &[String]) -> Result<Vec<Namespace>> {
    if names.is_empty() {
        return Ok(data.namespaces.clone());
    }
    known(data, names)?;
    let selected: Vec<Namespace> =
        data.namespaces.iter().map(|namespace| reduced(namespace, names)).collect();
    audit.entries.retain(|entry| {
        let mut there = selected.iter().filter(|namespace| namespace.name == entry.netns);
        there.any(|namespace| namespace.devices.iter().any(|device| device.name == entry.device))
    });
    Ok(selected)
}

/// Checks that there are interfaces of these names.
///
/// # Errors
/// `no-such-interface`, with the nearest names.
pub fn known(data: &OffloadData, names: &[String]) -> Result<()> {
    let there = |name: &&String| data.namespaces.iter().any(|all| Stack::new(all).find(name).is_some());
    names.iter().find(|name| !there(name)).map_or(Ok(()), |name| Err(unknown(data, name)))
}

fn reduced(namespace: &Namespace, names: &[String]) -> Namespace {
    let stack = Stack::new(namespace);
    let named = names.iter().filter_map(|name| stack.find(name));
    let kept: BTreeSet<usize> = named.flat_map(|at| std::iter::once(at).chain(stack.below(at))).collect();
    let devices = kept.iter().map(|at| namespace.devices[*at].clone()).collect();
    Namespace {
        devices,
        problems: namespace.problems.clone(),
        name: namespace.name.clone(),
        path: namespace.path.clone(),
        ..*namespace
    }
}

fn unknown(data: &OffloadData, name: &str) -> anyhow::Error {
    let devices = || data.namespaces.iter().flat_map(|namespace| &namespace.devices);
    let hint = did_you_mean(name, devices().map(|device| device.name.as_str())).unwrap_or_else(|| {
        let known: Vec<&str> = devices().take(8).map(|device| device.name.as_str()).collect();
        format!("there are: {}", known.join(", "))
    });
    Failure::new(Code::NoSuchInterface, format!("no interface named \"{name}\"")).hint(hint).into()
}
