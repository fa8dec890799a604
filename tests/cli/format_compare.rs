//! `hostdiag compare --format json` as `hostdiag_model::compare` documents it, as strictly as
//! the recordings.
#![allow(dead_code, reason = "fields are there to be read, not used")]
use std::process::Command;

use hostdiag_model::compare::rules::RULES;
use serde::Deserialize;
use serde_json::Value;

use crate::format::Host;
use crate::root;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    schema: String,
    version: u32,
    a: Side,
    b: Side,
    verdict: String,
    work: Work,
    cores: Option<Cores>,
    causes: Vec<Cause>,
    unexplained: Option<Unexplained>,
    others: Vec<Other>,
    settings: Settings,
    rates: Vec<Rate>,
    trust: Trust,
    parts: Vec<Part>,
    alone: Vec<(Which, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    name: String,
    hosts: Vec<HostOf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostOf {
    target: String,
    remote: Option<String>,
    host: Host,
    recordings: usize,
    started_ms: u64,
    ended_ms: u64,
    clock_offset_us: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    basis: Basis,
    measures: Vec<Measure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Basis {
    Same(WorkKind),
    PerUnit(WorkKind, f64),
    Unknown,
    NotComparable,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WorkKind {
    BytesSent,
    BytesReceived,
    PacketsSent,
    PacketsReceived,
    ContextSwitches,
    Given,
    Counted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Measure {
    kind: WorkKind,
    a: f64,
    b: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cores {
    source: CoresSource,
    a: f64,
    b: f64,
    change: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CoresSource {
    Profile,
    CpuTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    ratio: Option<f64>,
    interval: Option<[f64; 2]>,
    detectable: Option<f64>,
    verdict: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cause {
    rule: String,
    settings: Vec<Difference>,
    symptoms: Vec<Symptom>,
    worse: Which,
    cores: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    A,
    B,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Symptom {
    measured: Measured,
    name: String,
    a: f64,
    b: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Measured {
    Cores,
    Stacks,
    Calls,
    Timers,
    Duration(u32),
    Counter(Unit),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Events,
    Microseconds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    area: String,
    name: String,
    places: Option<Vec<Place>>,
    a: Option<String>,
    b: Option<String>,
    origins: [Option<String>; 2],
    class: Class,
}

/// A difference with its rule beside it: serde cannot both flatten and refuse.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    rule: Option<String>,
    area: String,
    name: String,
    places: Option<Vec<Place>>,
    a: Option<String>,
    b: Option<String>,
    origins: [Option<String>; 2],
    class: Class,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    a: String,
    b: String,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    Set,
    Os,
    Follows,
    Hardware,
    Volatile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unexplained {
    cores: f64,
    mostly: Vec<Frame>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    name: String,
    cores: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    compared: usize,
    unread: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    area: String,
    name: String,
    unit: Unit,
    a: f64,
    b: f64,
    change: Change,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trust {
    lost: [u64; 2],
    overlap: Option<f64>,
    apart_ms: Option<u64>,
    skew_us: Option<u64>,
    doubts: Option<Vec<(String, Doubt)>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Doubt {
    Lost(Which),
    Empty(Which),
    Partial(Which),
    Filter,
    Alone(Which, Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    command: String,
    patterns: Option<Vec<String>>,
    /// As `hostdiag diff` prints it.
    comparison: Value,
}

fn compared(files: [&str; 2]) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostdiag"));
    let files = files.map(|file| format!("tests/recordings/{file}"));
    let output = command.current_dir(root()).args(["compare", "--format", "json"]).args(files).output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

#[test]
fn comparisons_are_as_documented() {
    let report = compared(["compare/good-stable.hd", "compare/bad-stable.hd"]);
    assert_eq!((report.schema.as_str(), report.version), ("hostdiag.compare", 1));
    assert_eq!(report.causes[0].rule, "offload-send");
    let known = |id: &String| RULES.iter().any(|rule| rule.id == id);
    assert!(report.causes.iter().all(|cause| known(&cause.rule)));
    // What causes and the rest carry is all of it.
    let carried: f64 = report.causes.iter().filter_map(|cause| cause.cores).sum();
    let cores = report.cores.unwrap();
    assert!((carried + report.unexplained.unwrap().cores - (cores.b - cores.a)).abs() < 1e-9);
    for part in &report.parts {
        assert_eq!(
            (&part.comparison["schema"], &part.comparison["version"]),
            (&"hostdiag.diff".into(), &1.into())
        );
    }
    let report = compared(["snapshot/host-oldest.hd", "snapshot/host-stable.hd"]);
    assert!(!report.others.is_empty() && report.others.iter().filter_map(|one| one.rule.as_ref()).all(known));
    compared(["healthy-stable.hd", "article-stable.hd"]);
}
