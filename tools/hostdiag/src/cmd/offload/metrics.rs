//! `hostdiag offload --metrics FILE`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use hostdiag_model::Recording;
use hostdiag_model::recording::Data;
use hostdiag_report::metrics as render;

use super::{Args, NO_AUDIT};
use crate::offload::fix::history;
use crate::offload::policy::Allowed;
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
    // Who may not read the history has no counts of it, which is not 0.
    let history = match history::read(Path::new(history::FILE)) {
        Ok((entries, _)) => Some(entries),
        Err(error) => {
            output::warn(&format!("no metrics of repairs: {error:#}"));
            None
        }
    };
    let took_ms = recording.elapsed_ms.unwrap_or_default();
    let text = render::text(&render::Look {
        version: &recording.tool,
        data,
        audit,
        counts: &|device, feature| rules.policy().repairs(device, feature) == Allowed::Yes,
        history: history.as_deref(),
        held: None,
        ended_ms: recording.started_ms.saturating_add(took_ms),
        took_ms,
    });
    render::check::check(&text)
        .map_err(|wrong| anyhow!("node_exporter would drop them: {wrong}"))
        .with_context(|| format!("no metrics were written to {}", path.display()))?;
    output::publish(path, &text)
}
