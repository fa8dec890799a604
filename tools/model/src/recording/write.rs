//! Writes recordings: at once, or a trace while it goes on.

use std::io::{self, Write};

use serde::Serialize;

use super::{Data, Line, Recording, SCHEMA, VERSION};
use crate::stacks::{Additions, Mark};
use crate::trace::{Head, Trace, Window};

impl Recording {
    /// Writes the recording as JSON lines.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = Writer::begin(out, self)?;
        match &self.data {
            Data::Offload(data, audit) => {
                writer.line(&Tagged { kind: "offload", inner: data })?;
                writer.line(&Tagged { kind: "audit", inner: audit })?;
            }
            Data::Fix(fix) => {
                let inner = &Changing { changed: fix.changed(), inner: fix };
                writer.line(&Tagged { kind: "fix", inner })?;
            }
            Data::Undo(undo) => {
                let inner = &Changing { changed: undo.changed(), inner: undo };
                writer.line(&Tagged { kind: "undo", inner })?;
            }
            Data::History(history) => writer.line(&Tagged { kind: "history", inner: history })?,
            Data::Snapshot(snapshot) => {
                writer.line(&Tagged { kind: "snapshot", inner: snapshot })?;
                writer.line(&Tagged { kind: "offload", inner: &snapshot.offload })?;
                writer.line(&Tagged { kind: "audit", inner: &snapshot.audit })?;
            }
            Data::Trace(trace) => {
                writer.head(&trace.head)?;
                writer.stacks(&trace.stacks.since(Mark::default()))?;
                trace.windows.iter().try_for_each(|window| writer.window(window))?;
            }
        }
        writer.end(self)
    }
}

/// A recording that is written line by line. Each line goes out whole, so that a
/// trace that is killed leaves what it had: the recording of a run that was cut off.
pub struct Writer<W> {
    out: W,
    crc: crc32fast::Hasher,
    count: u64,
}

impl<W: Write> Writer<W> {
    /// Writes what a recording begins with, of `recording` no more than that.
    ///
    /// # Errors
    /// Those of `out`, as of all that follow.
    pub fn begin(out: W, recording: &Recording) -> io::Result<Self> {
        let mut writer = Self { out, crc: crc32fast::Hasher::new(), count: 0 };
        writer.line(&Line::Header {
            schema: SCHEMA.to_owned(),
            version: VERSION.into(),
            tool: recording.tool.clone(),
            command: recording.command.clone(),
            host: recording.host.clone(),
            started_ms: recording.started_ms,
            side: recording.side.clone(),
        })?;
        Ok(writer)
    }

    /// Writes what a trace begins with.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn head(&mut self, head: &Head) -> io::Result<()> {
        self.line(&Tagged { kind: "trace", inner: head })
    }

    /// Writes the stacks that the next windows name, where there are any.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn stacks(&mut self, stacks: &Additions) -> io::Result<()> {
        if *stacks == Additions::default() {
            return Ok(());
        }
        self.line(&Tagged { kind: "stacks", inner: stacks })
    }

    /// Writes a window.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn window(&mut self, window: &Window) -> io::Result<()> {
        self.line(&Tagged { kind: "window", inner: window })
    }

    /// Writes what a recording ends with: what was counted and lost, and unless it
    /// was cut off the end record.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn end(mut self, recording: &Recording) -> io::Result<()> {
        if let Data::Trace(trace) = &recording.data {
            self.account(trace)?;
        }
        for loss in &recording.loss {
            self.line(&Tagged { kind: "loss", inner: loss })?;
        }
        if let Some(elapsed_ms) = recording.elapsed_ms {
            let crc32 = format!("{:08x}", self.crc.clone().finalize());
            let lines = self.count;
            self.line(&Line::End { elapsed_ms, lines, crc32 })?;
        }
        self.out.flush()
    }

    fn account(&mut self, trace: &Trace) -> io::Result<()> {
        if let Some(accounting) = &trace.accounting {
            self.line(&Tagged { kind: "accounting", inner: accounting })?;
        }
        if let Some(overhead) = &trace.overhead {
            self.line(&Tagged { kind: "overhead", inner: overhead })?;
        }
        Ok(())
    }

    fn line<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.crc.update(&bytes);
        self.count += 1;
        self.out.write_all(&bytes)
    }
}

/// Writes `inner` with its type, without a copy of it.
#[derive(Serialize)]
struct Tagged<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    inner: &'a T,
}

/// Writes `inner` with what a script wants to know first.
#[derive(Serialize)]
struct Changing<'a, T: Serialize> {
    changed: bool,
    #[serde(flatten)]
    inner: &'a T,
}
