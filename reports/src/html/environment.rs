//! Of which hosts it is.

use hostdiag_model::diff::{Comparison, Side};
use hostdiag_model::time::Utc;
use hostdiag_model::{Host, Recording};
use maud::html;

use super::table::{Kind, Table};
use super::{Place, Section};

/// The host of a recording, and when it was made.
pub(super) fn of_one(recording: &Recording) -> Section {
    let mut table =
        Table::new("Where and when it was recorded", &[("fact", Kind::Fact), ("value", Kind::Text)]);
    for (name, value) in facts(&recording.host).into_iter().filter(|(_, value)| !value.is_empty()) {
        table.row([name.into(), value.into()]);
    }
    // A text has no time.
    if recording.started_ms > 0 {
        table.row(["started".into(), Utc::from_ms(recording.started_ms).to_string().into()]);
    }
    let elapsed = recording.elapsed_ms.map_or("it was cut off".to_owned(), seconds);
    table.row(["took".into(), elapsed.into()]);
    table.row(["hostdiag".into(), recording.tool.clone().into()]);
    Section::new(Place::Environment, "Environment", html! { (table) })
}

/// Both sides of a comparison.
pub(super) fn of_both(comparison: &Comparison) -> Section {
    let columns = [("fact", Kind::Fact), ("A", Kind::Text), ("B", Kind::Text), ("same", Kind::Text)];
    let mut table = Table::new("Both sides", &columns);
    let [a, b] = [&comparison.a, &comparison.b].map(of_side);
    for ((name, a), (_, b)) in a.into_iter().zip(b) {
        if a.is_empty() && b.is_empty() {
            continue;
        }
        let same = if a == b { "same" } else { "" };
        table.row([name.into(), a.into(), b.into(), same.into()]);
    }
    Section::new(Place::Environment, "Environment", html! { (table) })
}

fn of_side(side: &Side) -> Vec<(&'static str, String)> {
    let host = side.host.clone().unwrap_or_default();
    let mut all = vec![("files", side.files.join(" "))];
    all.extend(facts(&host));
    all.push(("recorded", side.recorded_ms.map_or(String::new(), seconds)));
    all.push(("events", side.events.map_or(String::new(), |events| events.to_string())));
    all.push(("lost", side.events.map_or(String::new(), |_| side.lost.to_string())));
    all
}

fn facts(host: &Host) -> [(&'static str, String); 4] {
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        ("host", host.name.clone()),
        ("kernel", known(&host.kernel)),
        ("system", known(&host.os)),
        ("machine", known(&host.machine)),
    ]
}

pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms / 100 % 10)
}
