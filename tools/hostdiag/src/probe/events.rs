//! Tracepoints: which there are, and their numbers, from tracefs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::pattern::{Names, Pattern, Place};
use crate::fail::{Code, Failure, as_root, did_you_mean};
use crate::kernel::tracefs;

/// Every tracepoint that a pattern describes, as `category:event` with its
/// number, sorted; without those of `skip`, by name.
///
/// # Errors
/// `no-tracefs` where tracefs is not there, `no-match` for a pattern that
/// describes nothing.
pub fn find(patterns: &[Pattern], skip: &[Names]) -> Result<BTreeMap<String, u64>, Failure> {
    let wanted: Vec<_> = patterns
        .iter()
        .filter_map(|pattern| match &pattern.place {
            Place::Tracepoint { category, event } => Some((pattern.text.as_str(), category, event)),
            _ => None,
        })
        .collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let folder = tracefs().join("events");
    let categories = names(&folder).map_err(|error| no_tracefs(&folder, &error))?;
    let mut found = BTreeMap::new();
    for (text, category, event) in wanted {
        let mut all = Vec::new();
        let mut matched = false;
        for category in categories.iter().filter(|name| category.contain(name)) {
            for name in names(&folder.join(category)).unwrap_or_default() {
                if event.contain(&name)
                    && let Some(id) = id(&folder.join(category).join(&name))
                {
                    matched = true;
                    if !skip.iter().any(|names| names.contain(&name)) {
                        found.insert(format!("{category}:{name}"), id);
                    }
                }
                all.push(format!("t:{category}:{name}"));
            }
        }
        if !matched {
            return Err(nothing(text, &all, &categories));
        }
    }
    Ok(found)
}

fn nothing(text: &str, events: &[String], categories: &[String]) -> Failure {
    let failure = Failure::new(Code::NoMatch, format!("no tracepoint matches {text:?}"));
    let near = if events.is_empty() {
        did_you_mean(text.split(':').nth(1).unwrap_or_default(), categories.iter().map(String::as_str))
    } else {
        did_you_mean(text, events.iter().map(String::as_str))
    };
    failure.hint(
        near.unwrap_or_else(|| format!("ls {} shows the categories", tracefs().join("events").display())),
    )
}

fn no_tracefs(folder: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Code::NoTracefs, format!("failed to read {}: {error}", folder.display()));
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        return failure.hint(as_root());
    }
    failure.hint("sudo mount -t tracefs tracefs /sys/kernel/tracing")
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn id(folder: &Path) -> Option<u64> {
    fs::read_to_string(folder.join("id")).ok()?.trim().parse().ok()
}
