//! The recording's format as its documentation says, read by a reader that
//! shares nothing with the one of hostdiag and takes no field it does not know.
#![allow(dead_code, reason = "fields are there to be read, not used")]
use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::format_fix::{HistoryEntry, Plan, Run, Undone};
use crate::format_trace::{
    Asked, Attach, Frame, Gone, Latency, Samples, Skipped, Stack, Stacks, Storage, TimerCount, ValueCount,
};
use crate::root;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Line {
    Header {
        schema: String,
        version: u32,
        tool: String,
        command: String,
        host: Host,
        started_ms: u64,
        side: Option<Side>,
    },
    Snapshot {
        settings: Vec<Setting>,
        interval_ms: u64,
        rates: Option<Vec<Rate>>,
    },
    Offload {
        namespaces: Vec<Namespace>,
        intents: Option<Vec<Intent>>,
        intents_incomplete: Option<bool>,
        held: Option<Vec<Held>>,
    },
    Audit {
        entries: Vec<Entry>,
        expired: Option<Vec<String>>,
    },
    Fix {
        changed: bool,
        plan: Plan,
        run: Option<Run>,
    },
    Undo {
        changed: bool,
        runs: Vec<Undone>,
        problems: Option<Vec<Problem>>,
    },
    History {
        entries: Vec<HistoryEntry>,
    },
    Trace {
        asked: Asked,
        attach: Vec<Attach>,
        skipped: Option<Vec<Skipped>>,
        storage: Option<Storage>,
    },
    Stacks {
        frames: Vec<Frame>,
        stacks: Vec<Stack>,
    },
    Window {
        start_ms: u64,
        end_ms: u64,
        counts: Option<Vec<(u32, u64)>>,
        stacks: Option<Stacks>,
        latency: Option<Vec<Latency>>,
        timers: Option<Vec<TimerCount>>,
        values: Option<Vec<ValueCount>>,
        distribution: Option<Vec<Latency>>,
    },
    Accounting {
        ended: String,
        entries: Option<u64>,
        returns: Option<u64>,
        start_lost: Option<u64>,
        return_missed: Option<u64>,
        in_flight: Option<u64>,
        recursion_missed: Option<u64>,
        link_missed: Option<u64>,
        gone: Option<Vec<Gone>>,
        stack_lost: Option<u64>,
        stack_cut: Option<u64>,
        timer_untracked: Option<u64>,
        timer_pending: Option<u64>,
        values_lost: Option<u64>,
        unmatched: Option<u64>,
        undecided: Option<u64>,
        unreadable: Option<u64>,
        below_zero: Option<u64>,
        sample_missed: Option<u64>,
        samples: Option<Samples>,
    },
    Overhead {
        run_time_ns: u64,
        runs: u64,
        over_ms: u64,
        cpus: u32,
    },
    Loss {
        what: String,
        count: u64,
    },
    End {
        elapsed_ms: u64,
        lines: usize,
        crc32: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    name: String,
    kernel: Option<String>,
    machine: Option<String>,
    os: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Side {
    group: String,
    target: String,
    clock_offset_us: Option<i64>,
    work: Option<WorkDone>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkDone {
    thousandths: u64,
    over_us: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setting {
    area: String,
    of: Option<String>,
    name: String,
    value: Option<String>,
    unreadable: Option<String>,
    origin: Option<String>,
    asked: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    area: String,
    of: Option<String>,
    name: String,
    count: u64,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Namespace {
    name: Option<String>,
    path: Option<String>,
    source: String,
    forwarding: Option<bool>,
    devices: Vec<Device>,
    problems: Option<Vec<Problem>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Problem {
    subject: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    name: String,
    link: Option<Link>,
    features: Option<BTreeMap<String, String>>,
    vlan_features: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    ifindex: u32,
    kind: Option<String>,
    driver: Option<String>,
    bus: Option<String>,
    loopback: Option<bool>,
    up: bool,
    mtu: u32,
    mac: Option<String>,
    altnames: Option<Vec<String>>,
    master: Option<u32>,
    port_kind: Option<String>,
    lower: Option<u32>,
    lower_netnsid: Option<i32>,
    lower_netns: Option<String>,
    vlan_id: Option<u16>,
    vlan_protocol: Option<String>,
    mode: Option<String>,
    xdp: Option<bool>,
    gso_max_size: Option<u32>,
    gso_max_segs: Option<u32>,
    addresses: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    device: String,
    feature: Option<String>,
    since_ms: u64,
    until_ms: Option<u64>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intent {
    device: String,
    features: Vec<String>,
    on: bool,
    file: String,
    line: u32,
    text: String,
    manager: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    netns: Option<String>,
    device: String,
    feature: String,
    state: String,
    verdict: String,
    finding: bool,
    reason: BTreeMap<String, serde_json::Value>,
    lost_at: Option<Vec<String>>,
    on_in: Option<Vec<String>>,
    takes_down: Option<Vec<String>>,
    repair: BTreeMap<String, serde_json::Value>,
    asked_by: Option<Vec<Intent>>,
    accepted: Option<Accepted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    reason: String,
    until: Option<String>,
}

pub(crate) const STATES: [&str; 6] =
    ["on", "off", "on [fixed]", "off [fixed]", "off [requested on]", "on [requested off]"];

#[test]
fn recordings_are_as_documented() {
    for folder in ["", "compare", "snapshot", "trace"] {
        for entry in fs::read_dir(root().join("tests/recordings").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "hd") {
                let text = fs::read_to_string(&path).unwrap();
                recordings(&text).for_each(|one| is_as_documented(one, &path.display().to_string()));
            }
        }
    }
}

/// Those that stand one after another.
fn recordings(text: &str) -> impl Iterator<Item = &str> {
    const HEADER: &str = "{\"type\":\"header\"";
    let starts: Vec<usize> = text.match_indices(HEADER).map(|(at, _)| at).collect();
    assert_eq!(starts.first(), Some(&0));
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &text[start..end])
}

fn is_as_documented(text: &str, name: &str) {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}"));
    let lines: Vec<Line> = text.lines().map(read).collect();
    let Some(Line::Header { schema, version, .. }) = lines.first() else { panic!("no header first") };
    assert_eq!((schema.as_str(), *version), ("hostdiag.recording", 1));
    let Some(Line::End { lines: count, crc32, .. }) = lines.last() else { panic!("no end last") };
    assert_eq!(*count, lines.len() - 1);
    let before = text[..text.len() - 1].rfind('\n').unwrap() + 1;
    assert_eq!(*crc32, format!("{:08x}", crc(&text.as_bytes()[..before])));
    for line in &lines {
        let Line::Offload { namespaces, .. } = line else { continue };
        let features =
            namespaces.iter().flat_map(|n| &n.devices).filter_map(|device| device.features.as_ref());
        assert!(features.flatten().all(|(_, state)| STATES.contains(&state.as_str())));
    }
}

/// CRC-32 (IEEE 802.3), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
