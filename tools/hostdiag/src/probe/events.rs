//! Tracepoints: which there are, and their numbers, from tracefs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::pattern::{Names, Pattern, Place};
use crate::expression::signature::{Content, Field};
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

/// The fields of a tracepoint, `category:event`, but for those that all have, of which
/// programs get none.
///
/// # Errors
/// `no-tracefs` where its format cannot be read.
pub fn fields(event: &str) -> Result<Vec<Field>, Failure> {
    let path = tracefs().join("events").join(event.replace(':', "/")).join("format");
    let text = fs::read_to_string(&path).map_err(|error| no_tracefs(&path, &error))?;
    Ok(text.lines().filter_map(field).filter(|field| !field.name.starts_with("common_")).collect())
}

/// `field:char comm[16]; offset:8; size:16; signed:0;`
fn field(line: &str) -> Option<Field> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declared = parts.next()?.strip_prefix("field:")?;
    let numbers: Vec<u64> = parts.filter_map(|part| part.split_once(':')?.1.trim().parse().ok()).collect();
    let [offset, size, signed] = numbers[..] else { return None };
    let (kind, name) = declared.rsplit_once([' ', '*'])?;
    let (name, array) = name.split_once('[').map_or((name, false), |(name, _)| (name, true));
    let character = matches!(kind.trim(), "char" | "const char" | "unsigned char");
    let content = match () {
        () if kind.starts_with("__data_loc char") => Content::TextElsewhere,
        () if kind.starts_with("__data_loc") || kind.starts_with("__rel_loc") => Content::Array,
        () if array && character => Content::Text,
        () if array => Content::Array,
        () if declared.contains('*') => Content::Pointer,
        () => Content::Number,
    };
    Some(Field { name: name.to_owned(), offset, size, signed: signed != 0, content })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_by_their_declaration() {
        let read = |line| field(line).map(|field| (field.name, field.offset, field.size, field.content));
        for (line, name, offset, size, content) in [
            (
                "\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;",
                "prev_comm",
                8,
                16,
                Content::Text,
            ),
            ("field:pid_t prev_pid; offset:24; size:4; signed:1;", "prev_pid", 24, 4, Content::Number),
            ("field:void *function; offset:16; size:8; signed:0;", "function", 16, 8, Content::Pointer),
            ("field:const void * skaddr; offset:8; size:8; signed:0;", "skaddr", 8, 8, Content::Pointer),
            ("field:__u8 saddr[4]; offset:28; size:4; signed:0;", "saddr", 28, 4, Content::Array),
            (
                "field:__data_loc char[] name; offset:8; size:4; signed:0;",
                "name",
                8,
                4,
                Content::TextElsewhere,
            ),
        ] {
            assert_eq!(read(line), Some((name.to_owned(), offset, size, content)), "{line}");
        }
        assert_eq!(read("print fmt: \"%s\", REC->name"), None);
        assert_eq!(read(""), None);
    }
}
