//! `hostdiag offload --watch`, `--hold`, `--release`.

use anyhow::Result;
use hostdiag_model::OffloadData;
use hostdiag_model::time::Utc;

use super::Args;
use crate::fail::{Code, Failure, Status};
use crate::offload::daemon::{self, Job};
use crate::offload::held::{Hold, Keeper};
use crate::offload::{gather, select};
use crate::output;

/// Watches until a signal comes.
pub(super) fn watch(args: &Args) -> Result<Status> {
    daemon::run(&Job {
        policy: args.policy.as_deref(),
        max_devices: args.fix.max_devices,
        observe: args.fix.observe,
        metrics: args.metrics.as_deref(),
    })?;
    Ok(Status::Fine)
}

/// Holds devices: neither the watch nor a `--fix` that does not name them repairs them.
pub(super) fn hold(args: &Args, devices: &[String]) -> Result<Status> {
    known(devices)?;
    let length = args.fix.for_;
    let ends = Keeper::open()?.update(|space, now| {
        let length_ms = length.map(|length| length.as_millis() as u64);
        for device in devices {
            space.hold(Hold {
                device: device.clone(),
                since_ms: now.wall_ms,
                until_boot_ms: length_ms.map(|length| now.boot_ms + length),
                reason: args.fix.reason.clone(),
            });
        }
        length_ms.map(|length| now.wall_ms + length)
    })?;
    let until = ends.map_or_else(
        || "until it is released, or the host boots".to_owned(),
        |ends| format!("until {}", Utc::from_ms(ends)),
    );
    say(devices, &format!("held {until}"))
}

/// Releases devices, also what somebody switched off there while `--watch` ran.
pub(super) fn release(devices: &[String]) -> Result<Status> {
    let released: Vec<bool> = Keeper::open()?
        .update(|space, _| devices.iter().map(|device| space.release(device)).collect::<Vec<_>>())?;
    for (device, released) in std::iter::zip(devices, released) {
        if !released {
            known(std::slice::from_ref(device))?;
        }
        say(std::slice::from_ref(device), if released { "released" } else { "was not held" })?;
    }
    Ok(Status::Fine)
}

fn known(devices: &[String]) -> Result<()> {
    let namespaces = vec![gather::namespace(None)?.namespace];
    let data = OffloadData { namespaces, ..OffloadData::default() };
    select::known(&data, devices)?;
    // What is held is held by name: that of the interface.
    let name = |device: &&String| data.namespaces[0].devices.iter().any(|known| known.name == ***device);
    let Some(other) = devices.iter().find(|device| !name(device)) else { return Ok(()) };
    let message = format!("\"{other}\" is another name of an interface");
    let hint = "hold it by the name that hostdiag offload prints";
    Err(Failure::new(Code::NoSuchInterface, message).hint(hint).into())
}

fn say(devices: &[String], what: &str) -> Result<Status> {
    output::write(|out| devices.iter().try_for_each(|device| writeln!(out, "{device}: {what}")))?;
    Ok(Status::Fine)
}
