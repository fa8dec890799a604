//! `hostdiag offload --metrics FILE`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use hostdiag_model::Recording;
use hostdiag_model::recording::Data;

use super::{Args, NO_AUDIT};
use crate::offload::metrics::{self, Audited};
use crate::offload::rules::Rules;
use crate::output;

/// What `--metrics` takes.
///
/// # Errors
/// A name that the collector would not read.
pub(super) fn file(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    match path.extension() {
        Some(end) if end == "prom" => Ok(path),
        _ => Err("node_exporter reads files alone whose name ends with .prom".to_owned()),
    }
}

/// Looks at this host, and writes what there is.
pub(super) fn look(path: &Path, args: &Args, rules: &Rules) -> Result<()> {
    let (mut recording, _) = super::live(args)?;
    let Data::Offload(data, audit) = &mut recording.data else { bail!(NO_AUDIT) };
    *audit = rules.audit(data, recording.started_ms);
    write(path, &recording, rules)
}

/// Writes the metrics of an audit.
///
/// # Errors
/// The file cannot be written, or would not be served as a whole; the one before stays.
pub(super) fn write(path: &Path, recording: &Recording, rules: &Rules) -> Result<()> {
    let Data::Offload(data, audit) = &recording.data else { bail!(NO_AUDIT) };
    let took_ms = recording.elapsed_ms.unwrap_or_default();
    let ended_ms = recording.started_ms.saturating_add(took_ms);
    if let Some(why) = metrics::write(path, &Audited { data, audit, rules, ended_ms, took_ms })? {
        output::warn(&format!("no metrics of repairs: {why:#}"));
    }
    Ok(())
}
