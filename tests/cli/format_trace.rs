//! The lines of a trace, as their documentation says.
#![allow(dead_code, reason = "fields are there to be read, not used")]
use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    patterns: Vec<String>,
    interval_ms: Option<u64>,
    timestamp: Option<bool>,
    rate: Option<bool>,
    stacks: Option<AskedStacks>,
    top: Option<u32>,
    timing: Option<Timing>,
    timers: Option<AskedTimers>,
    arguments: Option<Arguments>,
    profile: Option<Profile>,
    utc_offset_s: Option<i32>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Profile {
    OnCpu { hz: u32, cpus: u32, idle: Option<bool> },
    OffCpu { waiting: Option<Vec<String>> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Samples {
    cpu_ms: u64,
    seen: u64,
    idle: Option<u64>,
    lowered_hz: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedStacks {
    processes: Option<bool>,
    offsets: Option<bool>,
    addresses: Option<bool>,
    delimiter: Option<bool>,
    folded: Option<bool>,
    bcc: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedTimers {
    by: Option<String>,
    expiry: Option<bool>,
    histograms: Option<bool>,
    start_stacks: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    columns: Vec<Column>,
    r#where: Option<String>,
    by: Option<String>,
    histogram: Option<bool>,
    max_values: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    expression: String,
    form: Form,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    Raw,
    Number,
    Pointer,
    Bool,
    Text,
    Enum(Vec<(i64, String)>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValueCount {
    function: Option<u32>,
    comm: Option<String>,
    values: Vec<Value>,
    count: u64,
}

/// A number, a text, the beginning of one, or nothing where it could not be read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Number(serde_json::Number),
    Text(String),
    Cut { cut: String },
    Unreadable,
}

/// A place in a stack has a name, or why there is none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    address: String,
    name: Option<String>,
    unknown: Option<String>,
    offset: Option<u64>,
    module: Option<String>,
    inlined: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stack {
    kernel: Option<Part>,
    user: Option<Part>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    frames: Vec<u32>,
    gap: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stacks {
    counts: Vec<StackCount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StackCount {
    stack: u32,
    function: Option<u32>,
    pid: Option<u32>,
    comm: Option<String>,
    count: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    pids: Option<Vec<u32>>,
    tids: Option<Vec<u32>>,
    comm: Option<String>,
    cgroup: Option<String>,
    cpus: Option<Vec<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attach {
    mechanism: String,
    reason: Reason,
    functions: Vec<Function>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reason {
    Word(String),
    Refused {
        refused: BTreeMap<String, String>,
    },
    #[serde(rename_all = "kebab-case")]
    NoEvent {
        no_event: BTreeMap<String, String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    name: String,
    module: Option<String>,
    address: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skipped {
    name: String,
    module: Option<String>,
    reason: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timing {
    unit: Option<String>,
    each_function: Option<bool>,
    by: Option<String>,
    compat_bcc: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    shards: u32,
    histograms: u32,
    sub_bits: u8,
    bytes: u64,
    max_active: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latency {
    function: Option<u32>,
    group: Option<Group>,
    histogram: Histogram,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gone {
    Module(String),
    Program(u32),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Group {
    Cpu(u32),
    Comm(String),
    Pid(u32),
    Other,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Histogram {
    sub_bits: u8,
    count: u64,
    sum: u64,
    min: Option<u64>,
    max: Option<u64>,
    slots: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimerCount {
    timer: Option<Timer>,
    started: u64,
    removed: u64,
    expired: u64,
    rearmed: u64,
    delay: Histogram,
    late: Option<Histogram>,
    run: Option<Histogram>,
    stacks: Option<Stacks>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timer {
    kind: String,
    function: Function,
    owner: Option<Owner>,
    group: Option<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Owner {
    Work(Function),
    Process(String),
}
