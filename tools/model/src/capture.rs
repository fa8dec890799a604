//! Several recordings of one host or of several, in one file: one stream after another.

use std::io::{self, BufRead, Write};

use crate::recording::{Data, ReadError, Recording};
use crate::snapshot::Snapshot;
use crate::trace::Trace;

/// Recordings in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Never empty when it was read.
    pub recordings: Vec<Recording>,
}

impl Capture {
    /// Reads recordings up to the end of `input`.
    ///
    /// # Errors
    /// Those of [`Recording::read`]; lines are counted through.
    pub fn read(input: &mut dyn BufRead) -> Result<Self, ReadError> {
        Ok(Self { recordings: Recording::read_all(input)? })
    }

    /// Writes them one after another.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.recordings.iter().try_for_each(|recording| recording.write(out))
    }

    /// The first snapshot in it.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.recordings.iter().find_map(|recording| match &recording.data {
            Data::Snapshot(snapshot) => Some(&**snapshot),
            _ => None,
        })
    }

    /// The traces that `command` made.
    pub fn traces<'a>(&'a self, command: &'a str) -> impl Iterator<Item = (&'a Recording, &'a Trace)> {
        self.recordings.iter().filter(move |recording| recording.command == command).filter_map(|recording| {
            match &recording.data {
                Data::Trace(trace) => Some((recording, &**trace)),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
