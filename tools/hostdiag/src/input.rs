//! Files of any kind that is compared or drawn, known by what is in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use hostdiag_model::Recording;
use hostdiag_model::diff::{Source, What};
use hostdiag_model::recording::ReadError;

use crate::fail::{Code, Failure};
use crate::offload::from;

/// What files may be, for hints.
const HINT: &str =
    "files are written by hostdiag --output, or are folded stacks, or what `ethtool -k` prints";
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
        false => Box::new(BufReader::with_capacity(1 << 16, File::open(path).with_context(what)?)),
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

/// A file that is not what it should be.
pub fn bad(name: &str, problem: &str) -> Failure {
    Failure::new(Code::BadInput, format!("{name}: {problem}")).hint(HINT)
}
