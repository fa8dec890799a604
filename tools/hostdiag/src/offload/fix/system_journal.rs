//! Tells the system journal of every change, in the native protocol of
//! systemd-journald: a datagram of fields, <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use hostdiag_model::history::{HistoryEntry, What};

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// `journalctl MESSAGE_ID=…` finds every change, whichever version made it.
const CHANGE: &str = "65bc3c8783bd44b7ba0314983e06e7bf";
/// And every change that was rolled back because something got worse.
const ROLLBACK: &str = "45bed53939bf43668f7d712967ee30bf";

/// Sends the message of one change. Without a journal there is nobody to tell,
/// which is no error.
///
/// # Errors
/// The journal does not take it, now or at all; it is not waited for.
pub fn send(socket: &Path, change: &HistoryEntry) -> io::Result<()> {
    deliver(socket, &message(change))
}

/// Sends a message of these fields: see [`fields`].
///
/// # Errors
/// Those of [`send`].
pub fn deliver(socket: &Path, message: &[u8]) -> io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    datagram.set_nonblocking(true)?;
    match datagram.send_to(message, socket) {
        // No systemd, or a socket that was left behind.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(())
        }
        sent => sent.map(drop),
    }
}

/// Fields as the journal takes them.
pub fn fields<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut fields = Vec::new();
    all.into_iter().for_each(|(name, value)| push(&mut fields, name, value));
    fields
}

/// The datagram.
fn message(change: &HistoryEntry) -> Vec<u8> {
    let (id, priority) = match change.what {
        What::Rollback => (ROLLBACK, "4"),
        What::Set | What::Recompute | What::Undo => (CHANGE, "5"),
    };
    let text = text(change);
    let all = [
        ("MESSAGE", Some(text.as_str())),
        ("MESSAGE_ID", Some(id)),
        ("PRIORITY", Some(priority)),
        ("SYSLOG_IDENTIFIER", Some("hostdiag")),
        ("HOSTDIAG_DEVICE", Some(&change.device)),
        ("HOSTDIAG_NETNS", change.netns.as_deref()),
        ("HOSTDIAG_FEATURE", change.feature.as_deref()),
        ("HOSTDIAG_OLD", change.before.as_deref()),
        ("HOSTDIAG_NEW", change.after.as_deref()),
        ("HOSTDIAG_RUN", Some(&change.run)),
    ];
    fields(all.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// `vlan10: tx-scatter-gather off -> on (set, run 1a2b3c4d)`.
fn text(change: &HistoryEntry) -> String {
    let mut words = vec![change.feature.as_deref().unwrap_or("features")];
    if let (Some(before), Some(after)) = (&change.before, &change.after) {
        words.extend([before.as_str(), "->", after.as_str()]);
    }
    let (device, what, run) = (&change.device, change.what.as_str(), &change.run);
    format!("{device}: {} ({what}, run {run})", words.join(" "))
}

/// `NAME=value` and a newline; a value with a newline in it goes behind its
/// length, as 64 bits in little endian.
fn push(fields: &mut Vec<u8>, name: &str, value: &str) {
    fields.extend(name.as_bytes());
    if value.contains('\n') {
        fields.push(b'\n');
        fields.extend((value.len() as u64).to_le_bytes());
    } else {
        fields.push(b'=');
    }
    fields.extend(value.as_bytes());
    fields.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> HistoryEntry {
        let line = r#"{"time_ms":1,"run":"1a2b3c4d","what":"set","device":"vlan10",
            "feature":"tx-scatter-gather","before":"off","after":"on","who":{"uid":0},"command":"x"}"#;
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn the_journal_gets_these_bytes() {
        let path = std::env::temp_dir().join(format!("hostdiag-journald-{}", std::process::id()));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let rolled_back = HistoryEntry { what: What::Rollback, ..change() };
        let sent = [change(), rolled_back].map(|change| send(&path, &change));
        let mut buffer = [0; 4096];
        let received = [(); 2].map(|()| {
            let length = receiver.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        });
        std::fs::remove_file(&path).unwrap();
        assert!(sent.iter().all(Result::is_ok), "{sent:?}");
        let expected = |what: &str, id: &str, priority: u8| {
            format!(
                "MESSAGE=vlan10: tx-scatter-gather off -> on ({what}, run 1a2b3c4d)\nMESSAGE_ID={id}\n\
                 PRIORITY={priority}\nSYSLOG_IDENTIFIER=hostdiag\nHOSTDIAG_DEVICE=vlan10\n\
                 HOSTDIAG_FEATURE=tx-scatter-gather\nHOSTDIAG_OLD=off\nHOSTDIAG_NEW=on\nHOSTDIAG_RUN=1a2b3c4d\n"
            )
        };
        assert_eq!(received, [expected("set", CHANGE, 5), expected("rollback", ROLLBACK, 4)]);
    }

    #[test]
    fn a_recompute_is_of_all_features() {
        let recompute =
            HistoryEntry { what: What::Recompute, feature: None, before: None, after: None, ..change() };
        let message = String::from_utf8(message(&recompute)).unwrap();
        assert!(message.starts_with("MESSAGE=vlan10: features (recompute, run 1a2b3c4d)\n"), "{message}");
        assert!(!message.contains("HOSTDIAG_FEATURE"), "{message}");
    }

    #[test]
    fn a_newline_adds_no_field() {
        let mut fields = Vec::new();
        push(&mut fields, "HOSTDIAG_DEVICE", "a\nPRIORITY=0");
        assert_eq!(fields, b"HOSTDIAG_DEVICE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
    }

    #[test]
    fn a_host_without_a_journal_is_fine_and_a_full_one_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("hostdiag-no-journald-{}", std::process::id()));
        send(&path, &change()).unwrap();
        let deaf = UnixDatagram::bind(&path).unwrap();
        let mut sent = Ok(());
        // net.unix.max_dgram_qlen is 10 by default, thousands where somebody set it.
        for _ in 0..100_000 {
            sent = send(&path, &change());
            if sent.is_err() {
                break;
            }
        }
        drop(deaf);
        let left_behind = send(&path, &change());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        left_behind.unwrap();
    }
}
