//! What stands out in a snapshot: what an administrator set, what a mitigation costs or is
//! not there, what could not be read.

use hostdiag_model::Snapshot;
use hostdiag_model::snapshot::{Setting, Value};

use super::words;
use crate::page::{Ink, Page};

/// Settings from a file of an administrator, `/etc`.
fn by_hand(setting: &Setting) -> bool {
    setting.origin.as_deref().is_some_and(|origin| origin.starts_with("/etc/"))
}

/// Puts them.
pub(super) fn put(page: &mut Page, snapshot: &Snapshot, _all: bool) {
    for setting in snapshot.settings.iter().filter(|setting| by_hand(setting)) {
        page.ink(Ink::Yellow, "SET      ");
        super::line(page, setting);
    }
    let unread = snapshot.settings.iter().filter(|setting| matches!(setting.value, Value::Unreadable(_)));
    let unread = unread.count();
    if unread > 0 {
        page.ink(Ink::Yellow, "NOT READ ")
            .line(&format!("{unread} settings (--all); as root more can be read"));
    }
    let _ = words::area;
}
