//! What `hostdiag doctor` found.
//!
//! As JSON, one object:
//! ```json
//! {"schema":"hostdiag.doctor","version":1,
//!  "host":{"name":"web17","kernel":"6.1.0-56-amd64","machine":"x86_64"},
//!  "checks":[{"name":"btf","state":"ok","detail":"…","needed_for":["offload"],"required":false}],
//!  "leftovers":[]}
//! ```
//! Later versions may add members; a change of meaning raises `version`.

use serde::{Deserialize, Serialize};

use crate::Host;

/// The `schema` member.
pub const SCHEMA: &str = "hostdiag.doctor";
/// The `version` member.
pub const VERSION: u32 = 1;

/// Everything `hostdiag doctor` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// [`VERSION`].
    pub version: u32,
    /// The host that was looked at.
    pub host: Host,
    /// In the order of importance.
    pub checks: Vec<Check>,
    /// What killed runs of hostdiag left behind, and what became of it.
    pub leftovers: Vec<String>,
}

impl Doctor {
    /// The checks without which a subcommand cannot work at all.
    pub fn blocking(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.required && check.state == CheckState::Missing)
    }
}

/// One thing that hostdiag needs or can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Short and stable.
    pub name: String,
    /// Whether it is there.
    pub state: CheckState,
    /// What was found, or why it is missing.
    pub detail: String,
    /// What it is for: subcommands, or parts of them.
    pub needed_for: Vec<String>,
    /// A subcommand does not work at all without it.
    pub required: bool,
    /// The command or setting that provides it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// It is.
    Ok,
    /// It is not.
    Missing,
    /// Could not be told, mostly for want of a privilege.
    Unknown,
}
