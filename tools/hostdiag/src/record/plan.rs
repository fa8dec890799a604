//! What is recorded of a host, in which order.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A tool that records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// How the host is set up, and what happens on it.
    Snapshot,
    /// Offloads of network devices, judged.
    Offload,
    /// Where CPUs are.
    Profile,
    /// Timers that are started.
    TimerNames,
    /// How long the functions take that stand out.
    Funclatency,
    /// From where they are called.
    Stackcount,
}

impl Tool {
    /// Its name, that of its subcommand.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Offload => "offload",
            Self::Profile => "profile",
            Self::TimerNames => "timer-names",
            Self::Funclatency => "funclatency",
            Self::Stackcount => "stackcount",
        }
    }

    /// Tools of one step run at the same time. Those that trace functions are on their
    /// own: what one costs would be in the time that the other takes.
    fn step(self) -> usize {
        match self {
            Self::Snapshot | Self::Offload | Self::Profile | Self::TimerNames => 0,
            Self::Funclatency => 1,
            Self::Stackcount => 2,
        }
    }

    /// Whether it traces functions, which have to be known before.
    pub fn of_functions(self) -> bool {
        matches!(self, Self::Funclatency | Self::Stackcount)
    }

    /// Whether it loads programs of ours; the others work without root.
    pub fn traces(self) -> bool {
        !matches!(self, Self::Snapshot | Self::Offload)
    }
}

/// Plans that have a name.
const NAMED: [(&str, &[Tool]); 3] = [
    (
        "default",
        &[
            Tool::Snapshot,
            Tool::Offload,
            Tool::Profile,
            Tool::TimerNames,
            Tool::Funclatency,
            Tool::Stackcount,
        ],
    ),
    ("quick", &[Tool::Snapshot, Tool::Offload, Tool::Profile, Tool::TimerNames]),
    ("offload", &[Tool::Offload]),
];

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which tools, each once.
    pub tools: Vec<Tool>,
    /// How long each step lasts.
    pub duration: Duration,
    /// A tool ends when its programs take more of all CPUs than this, in percent.
    pub max_overhead: u32,
    /// Functions that are traced; without any those that stand out in the profile.
    pub functions: Vec<String>,
}

impl Plan {
    /// The tools of a plan: its name, or tools with commas between them.
    ///
    /// # Errors
    /// What there is, for clap to print.
    pub fn tools(text: &str) -> Result<Tools, String> {
        if let Some((_, tools)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(Tools(tools.to_vec()));
        }
        let mut tools = Vec::new();
        for name in text.split(',') {
            tools.push(Tool::from_str(name, false).map_err(|_| unknown(name))?);
        }
        tools.sort_unstable();
        tools.dedup();
        Ok(Tools(tools))
    }

    /// What runs at the same time, step by step.
    pub fn steps(&self) -> Vec<Order> {
        let of = |step| self.tools.iter().copied().filter(|tool| tool.step() == step).collect::<Vec<_>>();
        let steps = (0..3).map(of).filter(|tools| !tools.is_empty());
        let order = |tools| Order {
            tools,
            duration_ms: u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            max_overhead: self.max_overhead,
            functions: self.functions.clone(),
        };
        steps.map(order).collect()
    }
}

/// The tools of a plan: one value for clap, which would take a list for many options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools(pub Vec<Tool>);

fn unknown(name: &str) -> String {
    let plans: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
    let tools: Vec<&str> = Tool::value_variants().iter().map(|tool| tool.as_str()).collect();
    let known = plans.iter().chain(&tools).copied();
    let near = crate::fail::did_you_mean(name, known).map_or(String::new(), |near| format!("; {near}"));
    format!(
        "no plan or tool {name:?}{near} A plan is {}, or tools with commas between them: {}",
        plans.join(", "),
        tools.join(", ")
    )
}

/// What tools that run at the same time are to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which.
    pub tools: Vec<Tool>,
    /// Milliseconds that they count.
    pub duration_ms: u64,
    /// As in [`Plan`].
    pub max_overhead: u32,
    /// Functions that are traced, as the kernel has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
}

impl Order {
    /// The time that it counts.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_name_or_tools() {
        assert_eq!(Plan::tools("offload,profile,offload").unwrap().0, [Tool::Offload, Tool::Profile]);
        assert_eq!(Plan::tools("default").unwrap().0.len(), 6);
        let unknown = Plan::tools("offload,profil").unwrap_err();
        assert!(unknown.contains("\"profil\"; did you mean profile?"), "{unknown}");
        assert!(Plan::tools("").is_err());
    }

    #[test]
    fn what_traces_functions_runs_on_its_own() {
        let plan = Plan {
            tools: Plan::tools("default").unwrap().0,
            duration: Duration::from_secs(10),
            max_overhead: 2,
            functions: Vec::new(),
        };
        let steps: Vec<Vec<&str>> =
            plan.steps().iter().map(|order| order.tools.iter().map(|tool| tool.as_str()).collect()).collect();
        assert_eq!(
            steps,
            [vec!["snapshot", "offload", "profile", "timer-names"], vec!["funclatency"], vec!["stackcount"]]
        );
    }
}
