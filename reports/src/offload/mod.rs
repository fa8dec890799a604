//! `hostdiag offload` as text: who lies on whom, findings, what to do next.

pub mod ethtool;
pub mod finding;
pub mod matrix;
pub(crate) mod next;
pub(crate) mod topology;
pub mod words;

use std::collections::BTreeSet;

use hostdiag_model::audit::{Entry, Reason, Repair};
use hostdiag_model::stack::Stack;
use hostdiag_model::{Audit, Namespace, OffloadData, Recording};

use crate::page::{Ink, Page, Style, count};

/// Without `all` pictures of stacks end here.
const MAX_PICTURE: usize = 24;

/// What the caller asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Notes in full instead of their number.
    pub notes: bool,
    /// Everything, however long.
    pub all: bool,
    /// Look.
    pub style: Style,
}

/// The page for a recording of `hostdiag offload`.
pub fn text(recording: &Recording, data: &OffloadData, audit: &Audit, options: Options) -> String {
    let mut page = Page::new(options.style);
    head(&mut page, recording, data);
    for namespace in &data.namespaces {
        picture(&mut page, namespace, audit, options);
    }
    problems(&mut page, data);
    finding::list(&mut page, audit.findings(), options);
    if options.notes || options.all {
        finding::list(&mut page, audit.notes(), options);
    }
    summary(&mut page, data, audit, options);
    after(&mut page, recording, data, audit);
    page.finish()
}

fn head(page: &mut Page, recording: &Recording, data: &OffloadData) {
    let host = &recording.host;
    let devices = judged(data);
    let stacks: usize =
        data.namespaces.iter().map(|namespace| topology::stacks(&Stack::new(namespace))).sum();
    page.ink(Ink::Bold, &host.name);
    if let Some(kernel) = &host.kernel {
        page.put(&format!("  Linux {kernel}"));
    }
    page.put(&format!("  {}", count(devices, "device")));
    if stacks > 0 {
        page.put(&format!(", {}", count(stacks, "stack")));
    }
    if data.namespaces.len() > 1 {
        page.put(&format!(", {}", count(data.namespaces.len(), "network namespace")));
    }
    page.put("\n");
    if recording.elapsed_ms.is_none() {
        page.ink(Ink::Yellow, "partial recording: it has no end\n");
    }
}

fn picture(page: &mut Page, namespace: &Namespace, audit: &Audit, options: Options) {
    let lines = topology::lines(&Stack::new(namespace), audit, options);
    if lines.is_empty() {
        return;
    }
    page.put("\n");
    if let Some(name) = &namespace.name {
        page.ink(Ink::Bold, &format!("netns {name}\n"));
    }
    let shown = if options.all { lines.len() } else { lines.len().min(MAX_PICTURE) };
    for line in &lines[..shown] {
        page.line(line);
    }
    if shown < lines.len() {
        page.ink(Ink::Dim, &format!("... {} more (--all)\n", count(lines.len() - shown, "line")));
    }
}

fn problems(page: &mut Page, data: &OffloadData) {
    let all = data.namespaces.iter().flat_map(|namespace| &namespace.problems);
    for (index, problem) in all.enumerate() {
        page.put(if index == 0 { "\n" } else { "" });
        page.ink(Ink::Yellow, "not read  ").line(&format!("{}: {}", problem.subject, problem.message));
    }
}

/// How many findings there are, in a sentence.
pub(crate) fn headline(data: &OffloadData, audit: &Audit) -> String {
    let options = Options { notes: true, ..Options::default() };
    let mut page = Page::default();
    summary(&mut page, data, audit, options);
    page.finish().lines().find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn summary(page: &mut Page, data: &OffloadData, audit: &Audit, options: Options) {
    page.put("\n");
    let findings: Vec<&Entry> = audit.findings().collect();
    let bad: BTreeSet<_> = findings.iter().map(|entry| (&entry.netns, &entry.device)).collect();
    let judged = judged(data);
    if findings.is_empty() {
        page.ink(Ink::Green, "No findings.").put(&format!(" {}", count(judged, "device")));
    } else {
        let (number, devices) = (count(findings.len(), "finding"), count(bad.len(), "device"));
        page.ink(Ink::Red, &number).put(&format!(" on {devices}{}", repairable(&findings)));
        page.put(&format!("; {} fine", count(judged.saturating_sub(bad.len()), "device")));
    }
    let notes = audit.notes().count();
    if notes > 0 {
        let how = if options.notes || options.all { "" } else { " (--notes)" };
        page.put(&format!("; {}{how}", count(notes, "note")));
    }
    page.put("\n");
    for expired in &audit.expired {
        page.ink(Ink::Yellow, "expired  ").line(&format!("accept rule {expired} no longer holds"));
    }
}

/// Devices that were judged: all whose features are known, but loopback, which
/// has nothing to lose.
fn judged(data: &OffloadData) -> usize {
    let devices = data.namespaces.iter().flat_map(|namespace| &namespace.devices);
    let known = devices.filter(|device| device.features.is_some());
    known.filter(|device| !device.link.as_ref().is_some_and(|link| link.loopback)).count()
}

/// How many of the findings can be repaired; nothing where that cannot be told.
fn repairable(findings: &[&Entry]) -> String {
    let by_command = |entry: &&&Entry| matches!(entry.repair, Repair::Set | Repair::Recompute);
    let can = findings.iter().filter(by_command).count();
    if findings.iter().any(|entry| entry.reason == Reason::LayersUnknown) {
        return String::new();
    }
    match (can, findings.len()) {
        (0, _) => ", none repairable on the device itself".to_owned(),
        (1, 1) => ", repairable".to_owned(),
        (2, 2) => ", both repairable".to_owned(),
        (can, all) if can == all => ", all repairable".to_owned(),
        (can, _) => format!(", {can} repairable"),
    }
}

/// What the reader wants to know and do next.
fn after(page: &mut Page, recording: &Recording, data: &OffloadData, audit: &Audit) {
    let findings: Vec<&Entry> = audit.findings().collect();
    let Some(first) = findings.first() else { return };
    let mended =
        |entry: &&Entry| matches!(entry.repair, Repair::Set | Repair::Recompute | Repair::Recreate { .. });
    let sends = findings.iter().filter(|entry| entry.feature.starts_with("tx-"));
    if let (Some(kernel), Some(_)) = (&recording.host.kernel, sends.copied().find(mended)) {
        page.line(words::restart(kernel));
    }
    let unlinked =
        data.namespaces.iter().flat_map(|namespace| &namespace.devices).any(|device| device.link.is_none());
    if unlinked {
        page.line(
            "The layers are not known: each device was judged alone. With the links of the same host,\n\
             ip -d -j link > links.json, --links links.json tells where the features were lost.",
        );
    }
    let blind = |entry: &&&Entry| matches!(entry.reason, Reason::LayersUnknown | Reason::BelowUnknown);
    if !unlinked && findings.iter().any(|entry| blind(&entry) && entry.netns.is_none()) {
        page.line(
            "The features of the devices below are missing: ethtool -k of those too, in the same file.",
        );
    }
    for command in next::steps(data, &findings) {
        page.ink(Ink::Bold, "Next   ").line(&command);
    }
    page.ink(Ink::Bold, "Why    ").line(&format!("hostdiag explain {}", first.verdict.as_str()));
}

#[cfg(test)]
mod tests {
    use hostdiag_model::Data;

    use super::*;

    #[test]
    fn an_audit_of_devices_that_are_not_there_is_shown() {
        // Found by fuzzing: more devices with findings than devices.
        let lines = r#"{"type":"header","schema":"hostdiag.recording","version":1,"tool":"0","command":"offload","host":{"name":"web"},"started_ms":0}
{"type":"offload","namespaces":[]}
{"type":"audit","entries":[{"device":"a","feature":"rx-gro","state":"off","verdict":"lost-here","finding":true,"reason":{"is":"not-supported"},"repair":{"by":"none"}}]}
"#;
        let recording = Recording::read(&mut lines.as_bytes()).unwrap();
        let Data::Offload(data, audit) = &recording.data else { panic!("{recording:?}") };
        let text = text(&recording, data, audit, Options::default());
        assert!(text.contains("1 finding on 1 device") && text.contains("0 devices fine"), "{text}");
    }
}
