//! Snapshots as text.

use hostdiag_model::harmless::harmless;
use hostdiag_model::snapshot::{Setting, Value};
use hostdiag_model::{Recording, Snapshot};

/// Every setting, a line each.
pub fn text(recording: &Recording, snapshot: &Snapshot) -> String {
    let lines = snapshot.settings.iter().map(line);
    std::iter::once(harmless(&recording.host.name)).chain(lines).map(|line| line + "\n").collect()
}

fn line(setting: &Setting) -> String {
    let of = setting.of.as_deref().unwrap_or_default();
    let value = match &setting.value {
        Value::Value(value) => value.clone(),
        Value::Unreadable(why) => format!("not read: {why}"),
    };
    harmless(&format!("{:?} {of} {} {value}", setting.area, setting.name))
}
