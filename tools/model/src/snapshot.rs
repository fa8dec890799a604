//! What can make one host slower than another: how it is set up, and what happened
//! on it in a short while.

use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::offload::OffloadData;

/// A host at a moment, and what it did in an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Settings, sorted; each area, of and name is there once.
    pub settings: Vec<Setting>,
    /// Milliseconds over which the rates were counted; 0 where none were.
    pub interval_ms: u64,
    /// What was counted, sorted like the settings. A counter of the host, or of a link, that
    /// did not move is 0; of CPUs, cards and queues it is left out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rates: Vec<Rate>,
    /// Its network devices; a line of its own in a recording.
    #[serde(skip)]
    pub offload: OffloadData,
    /// What was made of them then; a line of its own in a recording.
    #[serde(skip)]
    pub audit: Audit,
}

/// One setting, as the host's own text has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Setting {
    /// What kind of thing it is.
    pub area: Area,
    /// Which of them: a device, a CPU, a module, a package; absent where it is the host's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub of: Option<String>,
    /// Its name, as the field calls it: `net.core.default_qdisc`, `mtu`, `governor`.
    pub name: String,
    /// What it is set to.
    #[serde(flatten)]
    pub value: Value,
    /// The line that sets it, `FILE:LINE`, where one does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
    /// What that line asks for, where that is not the value: somebody changed it since, or
    /// the line took no effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked: Option<String>,
}

/// A value, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// As the host has it.
    Value(String),
    /// Why it could not be read. What the host does not have is absent altogether.
    Unreadable(String),
}

/// How much happened in the interval.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rate {
    /// What kind of thing it is.
    pub area: Area,
    /// Of which CPU, device or queue; absent where it is the host's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub of: Option<String>,
    /// Its name, as the host's own text has it: `NET_RX`, `TcpRetransSegs`.
    pub name: String,
    /// Events in the interval, or microseconds, by `unit`.
    pub count: u64,
    /// What is counted.
    #[serde(skip_serializing_if = "Unit::is_events", default)]
    pub unit: Unit,
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Things that happened.
    #[default]
    Events,
    /// Microseconds that were spent.
    Microseconds,
}

impl Unit {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_events(&self) -> bool {
        *self == Self::Events
    }
}

/// What kind of thing a setting or a rate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Release, command line, taint, mitigations.
    Kernel,
    /// Lines of the kernel's configuration.
    Config,
    /// `/proc/sys`.
    Sysctl,
    /// Kernel modules and their parameters.
    Module,
    /// Frequency, idle states, SMT, microcode, clock source; time by kind.
    Cpu,
    /// Huge pages, NUMA, swap; reclaim and stalls.
    Memory,
    /// I/O schedulers and queues.
    Block,
    /// Control groups and limits.
    Cgroup,
    /// Distribution, libc, init.
    Os,
    /// Installed packages.
    Package,
    /// Loaded BPF programs.
    Bpf,
    /// Network devices of any kind: MTU, kind, master, bond and bridge settings.
    Link,
    /// Cards: driver, firmware, rings, channels, coalescing; their statistics.
    Nic,
    /// Queueing disciplines; their drops.
    Qdisc,
    /// Interrupts: where they go, how many there are.
    Irq,
    /// Soft interrupts.
    Softirq,
    /// Counters of the protocols.
    Net,
    /// Pressure stall information.
    Pressure,
    /// Known trouble in the kernel's log: as a setting in all that the log still has, as a
    /// rate in the interval.
    Log,
}
