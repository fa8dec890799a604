//! What can make one host slower than another: read, never changed.
//!
//! One file an area; what is a file of one value is a line in `table.rs`. Nothing here
//! fails as a whole: what cannot be read is in the snapshot with its reason, and what the
//! host does not have is not there.

mod block;
mod bpf;
mod cgroups;
mod cpus;
#[cfg(test)]
mod fixture;
mod found;
mod irqs;
mod kernel;
mod links;
mod log;
mod memory;
mod modules;
mod nics;
mod os;
mod packages;
mod qdiscs;
mod rates;
mod sysctl;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use hostdiag_model::snapshot::{Area, Value};
use hostdiag_model::{Data, Recording, Snapshot};

use self::found::{Found, Key};
use self::log::Log;
use self::rates::Counts;
use crate::offload::live::{self, Scope};
use crate::offload::{from, rules};
use crate::stop::Stop;

/// What is read before the audit of offloads, which loads a BPF program of its own.
const AREAS: [fn(&mut Found<'_>); 15] = [
    bpf::gather,
    sysctl::gather,
    kernel::gather,
    modules::gather,
    cpus::gather,
    memory::gather,
    block::gather,
    cgroups::gather,
    os::gather,
    packages::gather,
    irqs::gather,
    links::gather,
    nics::gather,
    qdiscs::gather,
    table::gather,
];

/// How this host is set up; what happens on it is still to be counted.
pub struct Begun {
    started_ms: u64,
    clock: Instant,
    found: Found<'static>,
    snapshot: Snapshot,
    log: Option<Log>,
}

/// Reads how this host is set up, of the network namespace of this thread.
pub fn begin() -> Begun {
    let (started_ms, clock) = (from::now_ms(), Instant::now());
    let mut found = Found::new(Path::new("/"));
    AREAS.iter().for_each(|gather| gather(&mut found));
    let mut snapshot = Snapshot::default();
    offload(&mut found, &mut snapshot, started_ms);
    let mut log = Log::open(&found);
    match &mut log {
        Ok(log) => log.read().settings(&mut found),
        Err(error) => found.unreadable(Key { area: Area::Log, of: None, name: "kmsg" }, error),
    }
    Begun { started_ms, clock, found, snapshot, log: log.ok() }
}

impl Begun {
    /// The same as if it began now: what is set does not change while others get ready.
    #[must_use]
    pub fn from_now(self) -> Self {
        Self { started_ms: from::now_ms(), clock: Instant::now(), ..self }
    }

    /// Counts over `interval` what happens; zero counts nothing. A signal ends it early.
    pub fn count(mut self, interval: Duration, stop: &Stop) -> Recording {
        if !interval.is_zero() {
            count(&mut self.found, &mut self.snapshot, (interval, stop), self.log);
        }
        self.snapshot.settings = self.found.finish();
        Recording {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            command: "snapshot".to_owned(),
            host: crate::host::this(),
            started_ms: self.started_ms,
            elapsed_ms: Some(self.clock.elapsed().as_millis() as u64),
            side: None,
            loss: Vec::new(),
            data: Data::Snapshot(Box::new(self.snapshot)),
        }
    }
}

/// Reads all counters twice, so that what was read before is over by then.
fn count(
    found: &mut Found<'_>,
    snapshot: &mut Snapshot,
    (interval, stop): (Duration, &Stop),
    log: Option<Log>,
) {
    // A counter is as long after the start of its reading in both.
    let (clock, before) = (Instant::now(), Counts::read(found));
    stop.wait(interval.saturating_sub(clock.elapsed()));
    let elapsed = clock.elapsed();
    let after = Counts::read(found);
    after.unread(found);
    snapshot.interval_ms = elapsed.as_millis() as u64;
    snapshot.rates = after.since(&before);
    snapshot.rates.extend(log.into_iter().flat_map(|mut log| log.read().rates().collect::<Vec<_>>()));
    snapshot.rates.sort();
}

/// Offload features, judged by the rules of this host.
fn offload(found: &mut Found<'_>, snapshot: &mut Snapshot, started_ms: u64) {
    let key = Key { area: Area::Nic, of: None, name: "offload" };
    let read = live::data(&Scope::Here).and_then(|(data, _)| Ok((data, rules::load(None, true)?)));
    match read {
        Ok((data, rules)) => {
            let devices = data.namespaces.first().map(|namespace| namespace.devices.as_slice());
            links::add(found, devices.unwrap_or_default());
            snapshot.audit = rules.audit(&data, started_ms);
            snapshot.offload = data;
        }
        Err(error) => found.push(key, Value::Unreadable(format!("{error:#}"))),
    }
}
