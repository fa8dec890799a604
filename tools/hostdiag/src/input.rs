//! Files of any kind that is compared or drawn, known by what is in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use hostdiag_model::Recording;
use hostdiag_model::diff::{Source, What};
use hostdiag_model::recording::ReadError;
use hostdiag_model::redact::Redactor;
use hostdiag_report::page::harmless;

use crate::fail::{Code, Failure, did_you_mean};
use crate::offload::from;

/// What files may be, for hints.
const HINT: &str =
    "files are written by hostdiag --output, or are folded stacks, or what `ethtool -k` prints";
/// So many files of a folder are looked through for one that is called nearly so.
const MOST_ENTRIES: usize = 10_000;
/// The largest text of features that is read; its reader takes less.
const MAX_TEXT: u64 = 16 << 20;

/// Opens a file (`-`: stdin) and reads it, unless it is of stacks: those are read as
/// they are used.
///
/// # Errors
/// `bad-input` and `unknown-schema` for what cannot be read.
pub fn open(path: &Path) -> Result<Source<'static>> {
    let stdin = path == Path::new("-");
    let name = if stdin { "stdin".to_owned() } else { path.display().to_string() };
    let what = || format!("failed to read {name}");
    let mut input: Box<dyn BufRead> = match stdin {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::with_capacity(1 << 16, file(path)?)),
    };
    let start = input.fill_buf().with_context(what)?.trim_ascii_start();
    if start.starts_with(b"{") {
        let recording = Recording::read(&mut input).map_err(|error| unreadable(&name, error))?;
        return Ok(Source { name, what: What::Recording(Box::new(recording)) });
    }
    if start.starts_with(b"Features for ") {
        let mut bytes = Vec::new();
        input.take(MAX_TEXT).read_to_end(&mut bytes).with_context(what)?;
        let namespace = from::of_text(bytes).map_err(|problem| bad(&name, &problem))?;
        let recording = from::audit_of(namespace, name.clone());
        return Ok(Source { name, what: What::Recording(Box::new(recording)) });
    }
    if start.is_empty() {
        return Err(bad(&name, "it is empty").into());
    }
    Ok(Source { name, what: What::Stacks(input) })
}

/// Opens a file to be read.
///
/// # Errors
/// It cannot be; where there is none, those of its folder that are called nearly so are said.
pub fn file(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| {
        let problem = format!("failed to read {}", path.display());
        if error.kind() != io::ErrorKind::NotFound {
            return anyhow::Error::from(error).context(problem);
        }
        let hint = near(path).unwrap_or_else(|| HINT.to_owned());
        Failure::new(Code::BadInput, format!("{problem}: there is no such file")).hint(hint).into()
    })
}

fn near(path: &Path) -> Option<String> {
    let wrong = path.file_name()?.to_string_lossy();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).ok()?.take(MOST_ENTRIES).flatten();
    let names: Vec<String> = entries.map(|entry| harmless(&entry.file_name().to_string_lossy())).collect();
    did_you_mean(&wrong, names.iter().map(String::as_str))
}

fn unreadable(name: &str, error: ReadError) -> anyhow::Error {
    match error {
        ReadError::Io(error) => anyhow::Error::from(error).context(format!("failed to read {name}")),
        ReadError::Unknown { .. } => {
            let hint = "read it with the hostdiag that wrote it, or record anew";
            Failure::new(Code::UnknownSchema, format!("{name}: {error}")).hint(hint).into()
        }
        other => bad(name, &other.to_string()).into(),
    }
}

/// Takes out of recordings that belong together what tells whose they are.
///
/// # Errors
/// It did not work out: nothing of them may be shown then.
pub fn redact<'a>(recordings: impl IntoIterator<Item = &'a mut Recording>) -> Result<Redactor> {
    let mut redactor = Redactor::default();
    redactor.redact(recordings).context("failed to redact the recording")?;
    Ok(redactor)
}

/// A file that is not what it should be.
pub fn bad(name: &str, problem: &str) -> Failure {
    Failure::new(Code::BadInput, format!("{name}: {problem}")).hint(HINT)
}
