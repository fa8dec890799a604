//! Brings this program to a host that does not have it, through the same channel, and
//! leaves nothing there.
//!
//! The host's shell is given one constant line. That makes a file in a private folder
//! from which programs may be run, opens it, and removes both before anything is
//! written: the file is gone with the process, however that ends. Then it says so, with
//! the host's architecture; is sent a line with length and SHA-256, and the program;
//! checks both; and becomes the agent. Nothing else is sent until the agent has said
//! that it is there, so that it does not matter how far ahead head(1) reads.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use sha2::{Digest, Sha256};

use super::frame;
use crate::fail::{Code, Failure};

/// What the line says once it can take a program, before the architecture.
const READY: &[u8] = b"\nhostdiag push: ";
/// Status of the line where no folder will do.
pub(super) const NO_FOLDER: i32 = 93;
/// Status of the line where something else arrived than was sent.
pub(super) const NOT_WHOLE: i32 = 94;

/// The line, but for the quotes around it. No quote, `!`, newline and backslash is in
/// it: csh, tcsh and fish take these otherwise than sh within single quotes.
const SCRIPT: &str = r#"umask 077; f=; for p in /dev/shm /run/user/$(id -u) /var/tmp /tmp "${HOME:-/tmp}"; do d=$(mktemp -d "$p/.hostdiag.XXXXXX" 2>/dev/null) || continue; f=$d/hostdiag; if (: >"$f" && chmod 700 "$f" && "$f") 2>/dev/null; then exec 3<"$f" 4>"$f"; rm -rf "$d"; break; fi; rm -rf "$d"; f=; done; [ "$f" ] || exit 93; echo; echo "hostdiag push: $(uname -m)"; read -r n h && head -c "$n" >&4; exec 4>&-; [ "$(sha256sum </proc/self/fd/3)" = "$h  -" ] || exit 94; exec /proc/self/fd/3 agent"#;

/// What is run on the host.
pub(super) fn line(sudo: bool) -> String {
    let sudo = if sudo { "sudo -n " } else { "" };
    format!("exec {sudo}/bin/sh -c '{SCRIPT}'")
}

/// Sends this program to where the line runs.
///
/// # Errors
/// `push-failed`, or what went wrong with the streams.
pub(super) fn send(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<Result<(), Failure>> {
    frame::skip_to(READY, from, super::link::BANNER)?;
    let machine = frame::skip_to(b"\n", from, 64)?;
    let (machine, ours) = (String::from_utf8_lossy(&machine).into_owned(), std::env::consts::ARCH);
    if machine != ours {
        let message = format!("the host is {machine}, this hostdiag is for {ours}");
        let hint = "install a hostdiag there that was built for it, and leave out --push";
        return Ok(Err(Failure::new(Code::PushFailed, message).hint(hint)));
    }
    let (length, hash) = hash(File::open("/proc/self/exe")?)?;
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(to, "{length} {hash}")?;
    let program = File::open("/proc/self/exe")?.take(length);
    io::copy(&mut BufReader::with_capacity(1 << 16, program), to)?;
    to.flush()?;
    Ok(Ok(()))
}

/// Length and SHA-256 of a file.
fn hash(mut file: File) -> io::Result<(u64, Vec<u8>)> {
    let (mut hash, mut length, mut bytes) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok((length, hash.finalize().to_vec())),
            read => {
                hash.update(&bytes[..read]);
                length += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_reads_the_line_alike() {
        assert!(!SCRIPT.contains(['\'', '!', '\n', '\\']), "{SCRIPT}");
        // Old shells of the csh family take words of a kilobyte.
        assert!(SCRIPT.len() < 1000, "{}", SCRIPT.len());
        assert!(
            SCRIPT.contains(&format!("exit {NO_FOLDER};")) && SCRIPT.contains(&format!("exit {NOT_WHOLE};"))
        );
    }
}
