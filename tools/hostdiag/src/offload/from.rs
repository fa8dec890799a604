//! Input from another host: the text of `ethtool -k`, with the links of `ip -d
//! -j link` or without, or a recording.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use hostdiag_model::recording::{Data, ReadError};
use hostdiag_model::{Audit, Host, Namespace, OffloadData, Recording};

use super::{links, text};
use crate::fail::{Code, Failure};
use crate::input;

/// The largest input that is read; the readers of recordings and texts have
/// their own, smaller limits.
const MAX_BYTES: u64 = 512 << 20;

/// Reads `path` (`-`: stdin), and the links that go with a text.
pub fn read(path: &Path, links: Option<&Path>) -> Result<Recording> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    if path == Path::new("-") && links == Some(path) {
        return Err(bad(&name, "it can be read once: --from - or --links -, not both"));
    }
    let bytes = bytes(path, &name)?;
    if bytes.trim_ascii_start().starts_with(b"{") {
        return recording(&bytes, &name, links);
    }
    let mut namespace = of_text(bytes).map_err(|problem| bad(&name, &problem))?;
    if let Some(path) = links {
        let json = bytes_of_links(path)?;
        links::merge(&mut namespace, &json).map_err(|problem| {
            let failure = Failure::new(Code::BadInput, format!("{}: {problem}", path.display()));
            failure.hint("on that host: ip -d -j link > links.json")
        })?;
    }
    Ok(audit_of(namespace, name))
}

/// What the text of `ethtool -k` says of devices.
///
/// # Errors
/// In words, why it is no such text.
pub fn of_text(bytes: Vec<u8>) -> std::result::Result<Namespace, String> {
    let text = String::from_utf8(bytes).map_err(|_| "it is neither text nor a recording".to_owned())?;
    let devices = text::parse(&text).map_err(|error| error.to_string())?;
    Ok(Namespace::of_text(devices))
}

/// Devices of another host as a recording that is not judged yet; `name` is that of
/// the file.
pub fn audit_of(namespace: Namespace, name: String) -> Recording {
    let data = OffloadData {
        namespaces: vec![namespace],
        intents: None,
        intents_incomplete: false,
        held: Vec::new(),
    };
    Recording {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        command: "offload".to_owned(),
        host: Host { name, ..Host::default() },
        // When it was written is not known; what matters is which rules hold now.
        started_ms: now_ms(),
        elapsed_ms: Some(0),
        side: None,
        loss: Vec::new(),
        data: Data::Offload(data, Audit::default()),
    }
}

/// Milliseconds since 1970, UTC.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Reads recordings of any commands from `path` (`-`: stdin), at least one.
///
/// # Errors
/// `bad-input` and `unknown-schema` for what is none, or not of this version.
pub fn any_recordings(path: &Path) -> Result<Vec<Recording>> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    // As it comes: of what is too large, or none, no more is read than shows that.
    let read = Recording::read_all(&mut opened(path)?).map_err(|error| problem(error, &name));
    read.map_err(|problem| match problem {
        Problem::Unknown(failure) => failure.into(),
        Problem::Bad(ReadError::Io(error)) => {
            anyhow::Error::from(error).context(format!("failed to read {name}"))
        }
        Problem::Bad(problem) => {
            let hint = "report takes a file written by hostdiag --output, or with --format json";
            Failure::new(Code::BadInput, format!("{name}: {problem}")).hint(hint).into()
        }
    })
}

/// Why bytes are no recording.
enum Problem {
    /// Of another version.
    Unknown(Failure),
    /// Something else.
    Bad(ReadError),
}

fn problem(error: ReadError, name: &str) -> Problem {
    match &error {
        ReadError::Unknown { .. } => {
            let hint = "read it with the hostdiag that wrote it, or record anew";
            Problem::Unknown(Failure::new(Code::UnknownSchema, format!("{name}: {error}")).hint(hint))
        }
        _ => Problem::Bad(error),
    }
}

fn recording(bytes: &[u8], name: &str, links: Option<&Path>) -> Result<Recording> {
    if links.is_some() {
        return Err(bad(name, "it is a recording, which has its own links; leave out --links"));
    }
    let read = Recording::read(&mut &*bytes).map_err(|error| problem(error, name));
    let recording = read.map_err(|problem| match problem {
        Problem::Unknown(failure) => failure.into(),
        Problem::Bad(error @ ReadError::NotARecording) => {
            bad(name, &format!("{error}, and it is no text of ethtool -k either"))
        }
        Problem::Bad(error) => bad(name, &error.to_string()),
    })?;
    match &recording.data {
        Data::Offload(..) => Ok(recording),
        other => Err(bad(name, &format!("it is a recording of {}, not of an audit", other.name()))),
    }
}

fn bad(name: &str, problem: &str) -> anyhow::Error {
    let hint = "--from takes what `ethtool -k IFACE` prints, or a file written by hostdiag --output";
    Failure::new(Code::BadInput, format!("{name}: {problem}")).hint(hint).into()
}

fn bytes_of_links(path: &Path) -> Result<Vec<u8>> {
    bytes(path, &path.display().to_string())
}

fn opened(path: &Path) -> Result<Box<dyn BufRead>> {
    Ok(match path == Path::new("-") {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::with_capacity(1 << 16, input::file(path)?)),
    })
}

fn bytes(path: &Path, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = opened(path)?.take(MAX_BYTES).read_to_end(&mut bytes);
    let length = read.with_context(|| format!("failed to read {name}"))?;
    if length as u64 == MAX_BYTES {
        return Err(bad(name, "larger than 512 MiB"));
    }
    Ok(bytes)
}
