//! Where a recording goes while it is made, so that a run that is killed leaves
//! what it had.

use std::io::{self, Write};

use hostdiag_model::Recording;
use hostdiag_model::recording::Writer;
use hostdiag_model::stacks::Additions;
use hostdiag_model::trace::{Head, Window};

/// A recording that is written to its end, or until that fails.
#[derive(Default)]
pub(super) struct Keep {
    to: Option<Writer<Box<dyn Write>>>,
    failed: Option<io::Error>,
}

impl Keep {
    /// Begins to write a trace.
    pub(super) fn begin(out: Box<dyn Write>, recording: &Recording, head: &Head) -> Self {
        match Writer::begin(out, recording) {
            Ok(writer) => {
                let mut keep = Self { to: Some(writer), failed: None };
                keep.step(|writer| writer.head(head));
                keep
            }
            Err(error) => Self { to: None, failed: Some(error) },
        }
    }

    /// Writes a window, and before it the stacks that it is the first to name.
    pub(super) fn window(&mut self, stacks: &Additions, window: &Window) {
        self.step(|writer| writer.stacks(stacks).and_then(|()| writer.window(window)));
    }

    /// Writes the end; why the recording is not whole.
    pub(super) fn end(&mut self, recording: &Recording) -> Option<io::Error> {
        if let Some(writer) = self.to.take() {
            self.failed = writer.end(recording).err();
        }
        self.failed.take()
    }

    /// Whether writing has failed.
    pub(super) fn fails(&self) -> bool {
        self.failed.is_some()
    }

    fn step(&mut self, step: impl FnOnce(&mut Writer<Box<dyn Write>>) -> io::Result<()>) {
        if let Some(Err(error)) = self.to.as_mut().map(step) {
            (self.to, self.failed) = (None, Some(error));
        }
    }
}
