//! What is asked of an agent, and what it says. Nothing here changes a host.
//!
//! ```text
//! {"type":"hello","protocol":1,"tool":"0.1.0"}
//!     {"type":"hello","protocol":1,"tool":"0.1.0","machine":"x86_64","root":true}
//! {"type":"time"}                                     several times, for the offset of its clock
//!     {"type":"time","now_us":1787000000000000}
//! {"type":"record","tools":["profile"],"duration_ms":10000,"max_overhead":2}
//!     {"type":"ready"}                                all is attached
//! {"type":"begin","at_us":1787000001000000}           by its clock
//!     {"type":"alive"}                                every second
//!     the bytes of a recording, then {"type":"part","tool":"profile"}, for each
//!     {"type":"failed","tool":"profile","code":"no-privilege","message":"…","hint":"…"}
//!     {"type":"done"}
//! {"type":"busiest"}                                  of the last profile
//!     {"type":"busiest","functions":[{"name":"do_sendfile","ppm":120000}]}
//! {"type":"stop"}                                     ends a recording early
//! ```
//!
//! Fields that one side does not know are passed over, so that versions beside one
//! another can talk.

use serde::{Deserialize, Serialize};

use crate::record::busiest::Busy;
use crate::record::{Order, Tool};

/// The version of the protocol; it changes where hosts could not talk any more.
pub const PROTOCOL: u32 = 1;
/// Our own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Request {
    /// Who asks.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Version of hostdiag.
        tool: String,
    },
    /// What time it is.
    Time,
    /// Attach these tools, say so, and wait.
    Record(Order),
    /// Begin to count.
    Begin {
        /// When, in microseconds since 1970 by the agent's clock.
        at_us: u64,
    },
    /// The functions that stand out in the last profile.
    Busiest,
    /// End the recording with what there is.
    Stop,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Reply {
    /// Who answers.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Version of hostdiag.
        tool: String,
        /// Architecture.
        machine: String,
        /// Whether it may load BPF programs.
        root: bool,
    },
    /// What time it is.
    Time {
        /// Microseconds since 1970 by its clock.
        now_us: u64,
    },
    /// All tools are attached, or have failed.
    Ready,
    /// Nothing but that it is still there.
    Alive,
    /// The recording of which the bytes came before is whole.
    Part {
        /// Whose.
        tool: Tool,
    },
    /// A tool failed, or what was asked for cannot be done.
    Failed {
        /// Which tool.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tool: Option<Tool>,
        /// As in `hostdiag explain`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        code: Option<String>,
        /// What failed and why.
        message: String,
        /// What to do next.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        hint: Option<String>,
    },
    /// The functions that stand out.
    Busiest {
        /// The busiest first.
        functions: Vec<Busy>,
    },
    /// The recording has ended.
    Done,
}

/// Whether two versions of hostdiag can talk: of the same major version, and one minor
/// version apart at most. Before 1.0 too.
pub fn talks(ours: &str, theirs: &str) -> bool {
    let parts = |version: &str| -> Option<(u64, u64)> {
        let mut numbers = version.split('.').map(|part| part.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    match (parts(ours), parts(theirs)) {
        (Some((major, minor)), Some((other, theirs))) => major == other && minor.abs_diff(theirs) <= 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_side_by_side_talk() {
        for (ours, theirs, can) in [
            ("0.1.0", "0.1.9", true),
            ("0.1.0", "0.2.0", true),
            ("0.3.0", "0.2.7", true),
            ("0.1.0", "0.3.0", false),
            ("1.0.0", "0.9.0", false),
            ("1.2.0", "1.1.0-rc1", true),
            ("1.2.0", "", false),
            ("1.2.0", "one", false),
        ] {
            assert_eq!(talks(ours, theirs), can, "{ours} {theirs}");
        }
    }

    #[test]
    fn what_a_newer_one_says_more_is_passed_over() {
        let hello =
            r#"{"type":"hello","protocol":1,"tool":"0.2.0","machine":"x86_64","root":true,"mood":[]}"#;
        assert!(matches!(serde_json::from_str(hello), Ok(Reply::Hello { root: true, .. })));
        assert!(serde_json::from_str::<Request>(r#"{"type":"reboot"}"#).is_err());
        assert!(
            serde_json::from_str::<Request>(r#"{"type":"record","tools":["sh"],"duration_ms":1}"#).is_err()
        );
    }

    #[test]
    fn deep_json_is_an_error() {
        let deep = format!(r#"{{"type":"time","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(serde_json::from_str::<Reply>(&deep).is_err());
    }
}
