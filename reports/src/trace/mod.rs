//! What the tracing tools measured, as text.

pub mod duration;
pub mod latency;
pub mod log2;
pub mod stacks;

use hostdiag_model::time::TimeOfDay;

use crate::page::Page;

/// Whose layout it is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Ours.
    #[default]
    Own,
    /// That of the bcc tool of the same name, byte for byte: `--compat bcc`.
    Bcc,
}

/// What stands above the results of an interval: bcc has an empty line there,
/// ours come without one. The time only where it is asked for.
pub fn head(page: &mut Page, layout: Layout, time: Option<TimeOfDay>) {
    if layout == Layout::Bcc {
        page.put("\n");
    }
    if let Some(time) = time {
        page.line(&time.to_string());
    }
}
