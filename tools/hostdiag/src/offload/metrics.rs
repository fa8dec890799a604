//! Metrics of an audit, for node_exporter's textfile collector.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use hostdiag_model::{Audit, OffloadData};
use hostdiag_report::metrics as render;

use super::fix::history;
use super::policy::Allowed;
use super::rules::Rules;
use crate::output;

/// A host that was looked at.
pub struct Audited<'a> {
    /// What was read.
    pub data: &'a OffloadData,
    /// What came of it.
    pub audit: &'a Audit,
    /// By which rules.
    pub rules: &'a Rules,
    /// When that ended, in milliseconds since 1970.
    pub ended_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Writes the metrics of an audit. Who may not read the history has no counts of it, and
/// does not know what is held, which is not 0: why is what is returned then.
///
/// # Errors
/// The file cannot be written, or would not be served as a whole; the one before stays.
pub fn write(path: &Path, audited: &Audited<'_>) -> Result<Option<Error>> {
    let (history, unread) = match history::read(Path::new(history::FILE)) {
        Ok((entries, _)) => (Some(entries), None),
        Err(error) => (None, Some(error)),
    };
    let held: BTreeSet<String> = audited.data.held.iter().map(|held| held.device.clone()).collect();
    let text = render::text(&render::Look {
        version: env!("CARGO_PKG_VERSION"),
        data: audited.data,
        audit: audited.audit,
        counts: &|device, feature| audited.rules.policy().repairs(device, feature) == Allowed::Yes,
        history: history.as_deref(),
        held: unread.is_none().then_some(&held),
        ended_ms: audited.ended_ms,
        took_ms: audited.took_ms,
    });
    render::check::check(&text)
        .map_err(|wrong| anyhow!("node_exporter would drop them: {wrong}"))
        .with_context(|| format!("no metrics were written to {}", path.display()))?;
    output::publish(path, &text)?;
    Ok(unread)
}
