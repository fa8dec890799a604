//! What the daemon says: to the system journal with its fields where its stderr is
//! the journal's, else a line to stderr.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::offload::fix::system_journal::{self, SOCKET};
use crate::output;

/// How much it matters, as syslog(3) counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Something that keeps it from its work.
    Error,
    /// Something that somebody should look at.
    Warning,
    /// Something it did.
    Notice,
    /// Something it saw.
    Info,
}

/// Where it goes.
pub(super) struct Log {
    journal: bool,
    /// The last of each kind, which is not said twice in a row.
    last: Vec<(&'static str, String)>,
}

/// One message.
pub(super) struct Message<'a> {
    /// How much it matters.
    pub(super) priority: Priority,
    /// What happened: `HOSTDIAG_EVENT`.
    pub(super) event: &'static str,
    /// The line.
    pub(super) text: String,
    /// More fields, by their names in the journal.
    pub(super) fields: &'a [(&'a str, &'a str)],
}

impl Log {
    /// The one of this process.
    pub(super) fn of_environment() -> Self {
        Self { journal: is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref()), last: Vec::new() }
    }

    /// Says it.
    pub(super) fn say(&self, message: &Message<'_>) {
        let priority = match message.priority {
            Priority::Error => "3",
            Priority::Warning => "4",
            Priority::Notice => "5",
            Priority::Info => "6",
        };
        let own = [
            ("MESSAGE", message.text.as_str()),
            ("PRIORITY", priority),
            ("SYSLOG_IDENTIFIER", "hostdiag"),
            ("HOSTDIAG_EVENT", message.event),
        ];
        let fields = system_journal::fields(own.into_iter().chain(message.fields.iter().copied()));
        if !self.journal || system_journal::deliver(Path::new(SOCKET), &fields).is_err() {
            output::say(&message.text);
        }
    }

    /// Says it, unless it is what was said of that kind last.
    pub(super) fn once(&mut self, message: &Message<'_>) {
        let same = self.last.iter().any(|(event, text)| *event == message.event && *text == message.text);
        if !same {
            self.forget(message.event);
            self.last.push((message.event, message.text.clone()));
            self.say(message);
        }
    }

    /// What was said of that kind is over.
    pub(super) fn forget(&mut self, event: &str) {
        self.last.retain(|(other, _)| *other != event);
    }
}

/// Whether stderr is the stream that `JOURNAL_STREAM` names, systemd.exec(5):
/// `device:inode`. It may have been led elsewhere since.
fn is_journal(stream: Option<&str>) -> bool {
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream.is_some_and(|stream| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_its_stream() {
        let stderr = std::fs::metadata("/proc/self/fd/2").unwrap();
        assert!(is_journal(Some(&format!("{}:{}", stderr.dev(), stderr.ino()))));
        assert!(!is_journal(Some(&format!("{}:{}", stderr.dev(), stderr.ino() + 1))));
        assert!(!is_journal(None));
    }
}
