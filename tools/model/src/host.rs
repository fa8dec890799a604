//! Which host a recording is of.

use serde::{Deserialize, Serialize};

/// The host, as far as its recordings are told apart and interpreted by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Node name, `uname -n`.
    pub name: String,
    /// Kernel release, `uname -r`; absent where only a text was read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kernel: Option<String>,
    /// Machine, `uname -m`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub machine: Option<String>,
    /// `PRETTY_NAME` of os-release.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub os: Option<String>,
}
