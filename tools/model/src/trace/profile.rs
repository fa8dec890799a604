//! What `profile` samples or times.

use serde::{Deserialize, Serialize};

/// What the counts of stacks are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Samples of what CPUs do.
    OnCpu {
        /// Samples that were asked for, a second and CPU.
        hz: u32,
        /// CPUs that were sampled at first.
        cpus: u32,
        /// What a CPU does while it is idle counts too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        idle: bool,
    },
    /// Nanoseconds that tasks waited.
    OffCpu {
        /// Waits of these kinds alone; of none: all but for a CPU.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waiting: Vec<Waiting>,
    },
}

/// What a task that no CPU runs waits for, by the letters of ps(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Waiting {
    /// For a CPU: it could go on.
    #[serde(rename = "R")]
    Cpu,
    /// For an event, or for a signal.
    #[serde(rename = "S")]
    Sleeping,
    /// For an event alone, as a disk's answer.
    #[serde(rename = "D")]
    Uninterruptible,
}

impl Waiting {
    /// The letter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "R",
            Self::Sleeping => "S",
            Self::Uninterruptible => "D",
        }
    }
}

/// What came of sampling, of all tasks on the CPUs that were sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// Milliseconds that CPUs were sampled for, all of them together.
    pub cpu_ms: u64,
    /// Samples that came, while a CPU was idle too.
    pub seen: u64,
    /// Of these, while it was idle; absent where the event does not go on then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<u64>,
    /// Samples a second that the kernel allows, where it has lowered that meanwhile
    /// (`kernel.perf_event_max_sample_rate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowered_hz: Option<u32>,
}
