//! The one format of hostdiag: a stream of JSON lines.
//!
//! ```text
//! {"type":"header","schema":"hostdiag.recording","version":1,"tool":"0.1.0","command":"offload",
//!  "host":{"name":"web17","kernel":"6.1.0-56-amd64","machine":"x86_64"},"started_ms":1787000000000}
//! {"type":"offload","namespaces":[{"source":"netlink","devices":[…]}],"intents":[…],
//!  "held":[{"device":"vlan10","feature":"tx-tcp-segmentation","since_ms":1787000000000}]}
//! {"type":"audit","entries":[…]}
//! {"type":"loss","what":"…","count":0}                     only what is not zero
//! {"type":"end","elapsed_ms":12,"lines":3,"crc32":"89abcdef"}
//! ```
//!
//! In the place of `offload` and `audit`, by what was asked for, stands one of
//!
//! ```text
//! {"type":"fix","changed":true,"plan":{"steps":[…]},"run":{"id":"…","observe_ms":5000,"steps":[…]}}
//! {"type":"undo","changed":true,"runs":[…]}
//! {"type":"history","entries":[…]}
//! ```
//!
//! or a snapshot, behind which its `offload` and `audit` stand,
//!
//! ```text
//! {"type":"snapshot","settings":[{"area":"sysctl","name":"net.core.default_qdisc","value":"fq_codel",
//!  "origin":"/etc/sysctl.d/90-x.conf:1","asked":"fq"},{"area":"bpf","name":"programs","unreadable":"…"}],
//!  "interval_ms":1000,"rates":[{"area":"softirq","name":"NET_RX","count":1200}]}
//! ```
//!
//! or the lines of a tracing tool (`trace.rs`): the first, any number of windows,
//! and, unless the run was cut off, the accounting.
//!
//! ```text
//! {"type":"trace","asked":{"patterns":["mod_timer"]},"attach":[{"mechanism":"fentry","reason":"few",
//!  "functions":[{"name":"mod_timer"}]}]}
//! {"type":"window","start_ms":0,"end_ms":1000,"counts":[[0,855]]}
//! {"type":"window","start_ms":0,"end_ms":1000,"latency":[{"function":0,"group":{"pid":7},
//!  "histogram":{"sub_bits":4,"count":3,"sum":130,"min":10,"max":64,"slots":[[10,1],[56,1],[64,1]]}}]}
//! {"type":"window","start_ms":0,"end_ms":1000,"timers":[{"timer":{"kind":"timer",
//!  "function":{"name":"tcp_write_timer"}},"started":9,"removed":9,"expired":1,"rearmed":8,"delay":{…}}]}
//! {"type":"window","start_ms":0,"end_ms":1000,"values":[{"values":[44,"eth0"],"count":19052}]}
//! {"type":"window","start_ms":0,"end_ms":1000,"distribution":[{"histogram":{…}}]}
//! {"type":"stacks","frames":[…],"stacks":[…]}
//! {"type":"window","start_ms":0,"end_ms":1000,"stacks":{"counts":[…]}}
//! {"type":"accounting","ended":"signal","entries":855,"recursion_missed":0}
//! {"type":"accounting","ended":"duration","entries":490,"sample_missed":0,
//!  "samples":{"cpu_ms":20000,"seen":980,"idle":490}}
//! {"type":"overhead","run_time_ns":45315,"runs":855,"over_ms":1000,"cpus":4}
//! ```
//!
//! * `changed`: whether features are other than before; made when written, not
//!   read.
//! * The header comes first. A schema or version that is not known is an error
//!   that names both. Times are milliseconds, `started_ms` since 1970 (UTC).
//! * `lines` counts the lines before the end record, `crc32` (IEEE, eight hex
//!   digits) is over all their bytes, newlines included.
//! * Without an end record a recording is partial: readable, and every
//!   rendering says so; a last line that was cut off is left out. Anything behind
//!   the end record is an error.
//! * Recordings may stand one after another in a file (`capture.rs`). Those that a
//!   comparison of hosts kept say in their header which side they are of:
//!   `"side":{"group":"bad","target":"web17","clock_offset_us":-310}`, and where a counter of
//!   the user's told what was done meanwhile, by how much it grew, in thousandths:
//!   `"work":{"thousandths":8550000,"over_us":10021334}`.
//! * Absent is not zero: a field that a host cannot report is left out.

use std::io::{self, BufRead, Read};
use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::history::History;
use crate::host::Host;
use crate::offload::OffloadData;
use crate::plan::{Fix, Undo};
use crate::snapshot::Snapshot;
use crate::stacks::Additions;
use crate::trace::{Accounting, Head, Overhead, Trace, Window};

mod write;

pub use self::write::Writer;

/// Name of the schema.
pub const SCHEMA: &str = "hostdiag.recording";
/// Version this program writes and reads.
pub const VERSION: u32 = 1;
/// The longest line that is read, in bytes: ten thousand devices are a quarter.
const MAX_LINE: u64 = 128 << 20;
/// The largest recording that is read, in bytes.
const MAX_TOTAL: u64 = 512 << 20;

/// What was recorded, when, where and by which command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Version of hostdiag that wrote it.
    pub tool: String,
    /// Subcommand.
    pub command: String,
    /// Of which host.
    pub host: Host,
    /// Milliseconds since 1970, UTC.
    pub started_ms: u64,
    /// Milliseconds from start to end; absent in a partial recording.
    pub elapsed_ms: Option<u64>,
    /// Of which side of a comparison; absent in all other recordings.
    pub side: Option<Side>,
    /// What was lost on the way; empty where nothing was.
    pub loss: Vec<Loss>,
    /// The data itself.
    pub data: Data,
}

/// Which side of a comparison a recording is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The name of the group of hosts: `a` and `b`, unless the user named them.
    pub group: String,
    /// The host as the user named it: `web17`, `root@10.0.0.1:2222`, `local`, a file.
    pub target: String,
    /// The host's clock minus ours, in microseconds; absent where it was not measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_offset_us: Option<i64>,
    /// What the host did while it was recorded, by a counter of the user's or as the user
    /// said; the same in all recordings that were made in one go. Absent where none was named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub work: Option<WorkDone>,
}

/// By how much a counter grew, and in what time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkDone {
    /// Thousandths of what it counts.
    pub thousandths: u64,
    /// Microseconds between its readings.
    pub over_us: u64,
}

impl std::ops::AddAssign for WorkDone {
    fn add_assign(&mut self, other: Self) {
        self.thousandths = self.thousandths.saturating_add(other.thousandths);
        self.over_us = self.over_us.saturating_add(other.over_us);
    }
}

/// The data of a recording, by the command that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// `hostdiag offload`: what was read, and what was made of it then.
    Offload(OffloadData, Audit),
    /// `hostdiag offload --fix`, with `--dry-run` the plan alone.
    Fix(Fix),
    /// `hostdiag offload --undo`.
    Undo(Undo),
    /// `hostdiag offload --history`.
    History(History),
    /// `hostdiag funccount` and the other tracing tools.
    Trace(Box<Trace>),
    /// `hostdiag snapshot`.
    Snapshot(Box<Snapshot>),
}

impl Data {
    /// What it is of, for messages: `an audit`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Offload(..) => "an audit",
            Self::Fix(Fix { run: None, .. }) => "the plan of a repair",
            Self::Fix(_) => "a repair",
            Self::Undo(_) => "an undo",
            Self::History(_) => "the history of repairs",
            Self::Trace(_) => "a trace",
            Self::Snapshot(_) => "a snapshot",
        }
    }
}

/// Something that could not be counted or kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What was lost.
    pub what: String,
    /// How many of them.
    pub count: u64,
}

/// Why a recording cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// Reading itself failed.
    Io(io::Error),
    /// Not a recording at all: the first line is no header.
    NotARecording,
    /// Another schema or version.
    Unknown {
        /// The schema found.
        schema: String,
        /// The version found.
        version: u64,
    },
    /// Line, counted from 1, and what is wrong there.
    Line(u64, String),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotARecording => f.write_str("the first line is no hostdiag header"),
            Self::Unknown { schema, version } => write!(
                f,
                "schema {schema:?} version {version}; this hostdiag reads {SCHEMA:?} version {VERSION}"
            ),
            Self::Line(line, problem) => write!(f, "line {line}: {problem}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Header {
        schema: String,
        version: u64,
        tool: String,
        command: String,
        host: Host,
        started_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        side: Option<Side>,
    },
    Offload(OffloadData),
    Audit(Audit),
    Fix(Fix),
    Undo(Undo),
    History(History),
    Trace(Head),
    Stacks(Additions),
    Window(Window),
    Snapshot(Snapshot),
    Accounting(Accounting),
    Overhead(Overhead),
    Loss(Loss),
    End {
        elapsed_ms: u64,
        lines: u64,
        crc32: String,
    },
}

impl Recording {
    /// Reads a recording, and nothing that is too large, damaged or unknown.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn read(input: &mut dyn BufRead) -> Result<Self, ReadError> {
        let mut reader = Reader::new(input);
        let (recording, next) = reader.recording(None)?;
        match next {
            None => Ok(recording),
            Some(_) => Err(ReadError::Line(reader.line, "something follows the end record".into())),
        }
    }

    /// Reads recordings that stand one after another.
    ///
    /// # Errors
    /// What is wrong, and in which line of all.
    pub fn read_all(input: &mut dyn BufRead) -> Result<Vec<Self>, ReadError> {
        let mut reader = Reader::new(input);
        let (first, mut next) = reader.recording(None)?;
        let mut all = vec![first];
        while next.is_some() {
            let (recording, behind) = reader.recording(next)?;
            all.push(recording);
            next = behind;
        }
        Ok(all)
    }
}

struct Reader<'a> {
    input: &'a mut dyn BufRead,
    crc: crc32fast::Hasher,
    /// Of all lines, counted from 1.
    line: u64,
    /// Lines before the recording that is read.
    before: u64,
    total: u64,
}

impl<'a> Reader<'a> {
    fn new(input: &'a mut dyn BufRead) -> Self {
        Self { input, crc: crc32fast::Hasher::new(), line: 0, before: 0, total: 0 }
    }

    /// One recording, from `header` on where that was read already, and what was read of
    /// the one behind it.
    fn recording(&mut self, header: Option<Vec<u8>>) -> Result<(Recording, Option<Vec<u8>>), ReadError> {
        let mut recording = Parts::new(self.header(header)?);
        let mut behind = None;
        while let Some(bytes) = self.bytes()? {
            if recording.elapsed_ms.is_some() {
                behind = Some(bytes);
                break;
            }
            let before = self.crc.clone();
            self.crc.update(&bytes);
            let line = match self.parse(&bytes) {
                // A last line that was cut off is none: whoever wrote it was killed, or
                // found no room.
                Err(_) if !bytes.ends_with(b"\n") => break,
                line => line?,
            };
            if let Line::End { lines, crc32, .. } = &line {
                self.check_end(*lines, crc32, &before)?;
            }
            recording.add(line).map_err(|problem| ReadError::Line(self.line, problem))?;
        }
        let read = recording.finish().map_err(|problem| ReadError::Line(self.line, problem))?;
        Ok((read, behind))
    }

    fn header(&mut self, read: Option<Vec<u8>>) -> Result<Line, ReadError> {
        #[derive(Deserialize)]
        struct Peek {
            schema: String,
            version: u64,
        }
        let first = read.is_none();
        let bytes = match read {
            Some(bytes) => bytes,
            None => self.bytes()?.ok_or(ReadError::NotARecording)?,
        };
        let peek: Peek = serde_json::from_slice(&bytes).map_err(|_| match first {
            true => ReadError::NotARecording,
            false => ReadError::Line(self.line, "something follows the end record".into()),
        })?;
        if peek.schema != SCHEMA || peek.version != u64::from(VERSION) {
            return Err(ReadError::Unknown { schema: peek.schema, version: peek.version });
        }
        self.before = self.line - 1;
        self.crc = crc32fast::Hasher::new();
        self.crc.update(&bytes);
        self.parse(&bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Line, ReadError> {
        serde_json::from_slice(bytes).map_err(|error| ReadError::Line(self.line, error.to_string()))
    }

    /// One line with its newline, bounded.
    fn bytes(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let mut bytes = Vec::new();
        let length = self.input.take(MAX_LINE).read_until(b'\n', &mut bytes)? as u64;
        if length == 0 {
            return Ok(None);
        }
        self.line += 1;
        self.total += length;
        if length == MAX_LINE || self.total > MAX_TOTAL {
            return Err(ReadError::Line(self.line, "the recording is too large".into()));
        }
        Ok(Some(bytes))
    }

    fn check_end(&self, lines: u64, crc32: &str, before: &crc32fast::Hasher) -> Result<(), ReadError> {
        let found = self.line - self.before - 1;
        if lines != found {
            let problem = format!("the end record counts {lines} lines, there are {found}");
            return Err(ReadError::Line(self.line, problem));
        }
        if format!("{:08x}", before.clone().finalize()) != crc32 {
            return Err(ReadError::Line(
                self.line,
                "the checksum is wrong: the recording was changed".into(),
            ));
        }
        Ok(())
    }
}

/// A recording as far as it has been read.
struct Parts {
    header: Line,
    data: Option<Data>,
    audit: Option<Audit>,
    loss: Vec<Loss>,
    elapsed_ms: Option<u64>,
}

impl Parts {
    fn new(header: Line) -> Self {
        Self { header, data: None, audit: None, loss: Vec::new(), elapsed_ms: None }
    }

    fn add(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Header { .. } => return Err("a second header".into()),
            Line::Offload(data) => {
                if let Some(Data::Snapshot(snapshot)) = &mut self.data {
                    snapshot.offload = data;
                    return Ok(());
                }
                return self.add_data(Data::Offload(data, Audit::default()));
            }
            Line::Fix(fix) => return self.add_data(Data::Fix(fix)),
            Line::Undo(undo) => return self.add_data(Data::Undo(undo)),
            Line::History(history) => return self.add_data(Data::History(history)),
            Line::Trace(head) => {
                return self.add_data(Data::Trace(Box::new(Trace { head, ..Trace::default() })));
            }
            Line::Snapshot(snapshot) => return self.add_data(Data::Snapshot(Box::new(snapshot))),
            Line::Stacks(additions) => self.trace("stacks")?.stacks.append(additions)?,
            Line::Window(window) => {
                let trace = self.trace("window")?;
                let before = trace.windows.iter().last();
                let before_ms = before.map_or(0, |window| window.end_ms);
                if before.is_some_and(|before| discriminant(&before.payload) != discriminant(&window.payload))
                {
                    return Err("a window of another tool than the one before".into());
                }
                window.check(before_ms, trace.head.functions().count(), &trace.stacks)?;
                trace.windows.push(window);
            }
            Line::Accounting(accounting) => {
                once(&mut self.trace("accounting")?.accounting, accounting, "accounting")?;
            }
            Line::Overhead(overhead) => once(&mut self.trace("overhead")?.overhead, overhead, "overhead")?,
            Line::Audit(_) if self.audit.is_some() => return Err("a second audit record".into()),
            Line::Audit(audit) => self.audit = Some(audit),
            Line::Loss(loss) => self.loss.push(loss),
            Line::End { elapsed_ms, .. } => self.elapsed_ms = Some(elapsed_ms),
        }
        Ok(())
    }

    fn add_data(&mut self, data: Data) -> Result<(), String> {
        match self.data.replace(data) {
            None => Ok(()),
            Some(first) => Err(format!("a second record of data, behind {}", first.name())),
        }
    }

    /// The trace that a line belongs to.
    fn trace(&mut self, line: &str) -> Result<&mut Trace, String> {
        match &mut self.data {
            Some(Data::Trace(trace)) => Ok(trace),
            Some(other) => Err(format!("a record {line:?} behind {}", other.name())),
            None => Err(format!("a record {line:?} before its trace")),
        }
    }

    fn finish(self) -> Result<Recording, String> {
        let Line::Header { tool, command, host, started_ms, side, .. } = self.header else {
            return Err("the first line is no header".into());
        };
        let mut data = self.data.ok_or("the recording ends before its data")?;
        match (&mut data, self.audit) {
            (Data::Offload(_, judged), Some(audit)) => *judged = audit,
            (Data::Snapshot(snapshot), Some(audit)) => snapshot.audit = audit,
            (_, None) => {}
            (other, Some(_)) => return Err(format!("an audit record behind {}", other.name())),
        }
        let (elapsed_ms, loss) = (self.elapsed_ms, self.loss);
        Ok(Recording { tool, command, host, started_ms, elapsed_ms, side, loss, data })
    }
}

/// Fills what may be given once.
fn once<T>(place: &mut Option<T>, value: T, line: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("a second record {line:?}")),
    }
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
