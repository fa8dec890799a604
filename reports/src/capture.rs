//! What stands between recordings that are shown one below the other.

use hostdiag_model::Recording;
use hostdiag_model::harmless::harmless;
use hostdiag_model::time::Utc;

/// The line above a recording: its command, host and time.
pub fn title(recording: &Recording, first: bool) -> String {
    let target = recording.side.as_ref().map(|side| &side.target);
    let host = target.unwrap_or(&recording.host.name);
    let gap = if first { "" } else { "\n" };
    let time = Utc::from_ms(recording.started_ms);
    format!("{gap}== {} of {}, {time}\n", harmless(&recording.command), harmless(host))
}
