//! Distribution, libc, systemd.

use hostdiag_model::snapshot::Area;

use super::found::{Found, Key};

/// Of /etc/os-release.
const RELEASE: [&str; 4] = ["PRETTY_NAME", "ID", "VERSION_ID", "BUILD_ID"];
/// Where distributions put the libc of x86_64.
const GLIBC: [&str; 3] = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"];
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";
/// Where systemd has its library, whose name says its version.
const SYSTEMD: [&str; 4] =
    ["/usr/lib/systemd", "/usr/lib/x86_64-linux-gnu/systemd", "/lib/systemd", "/usr/lib64/systemd"];

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    let release = found.text("/etc/os-release").or_else(|_| found.text("/usr/lib/os-release"));
    match release {
        Ok(text) => {
            for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
                if RELEASE.contains(&name) {
                    found.value(key(name), value.trim_matches(['"', '\'']));
                }
            }
        }
        Err(error) => found.unreadable(key("PRETTY_NAME"), &error),
    }
    let libc = GLIBC.iter().find_map(|path| glibc(&found.bytes(path).ok()?));
    if let Some(version) = libc.or_else(|| found.bytes(MUSL).ok().map(|_| "musl".to_owned())) {
        found.value(key("libc"), &version);
    }
    let libraries = SYSTEMD.iter().flat_map(|folder| found.list(folder));
    let version = libraries.into_iter().find_map(|name| systemd(&name).map(str::to_owned));
    if let Some(version) = version {
        found.value(key("systemd"), &version);
    }
}

fn key(name: &str) -> Key<'_> {
    Key { area: Area::Os, of: None, name }
}

/// The line by which a glibc introduces itself when it is run.
fn glibc(library: &[u8]) -> Option<String> {
    const START: &[u8] = b"GNU C Library ";
    let at = library.windows(START.len()).position(|window| window == START)?;
    let line = &library[at..];
    let end = line.iter().take(200).position(|byte| *byte == b'\n' || *byte == 0)?;
    Some(String::from_utf8_lossy(&line[..end]).trim_end_matches('.').to_owned())
}

/// The version in the name of systemd's own library.
fn systemd(name: &str) -> Option<&str> {
    name.strip_prefix("libsystemd-shared-")?.strip_suffix(".so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_without_running_anything() {
        let text = b"\x7fELF..GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright";
        let line = "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36";
        assert_eq!(glibc(text).as_deref(), Some(line));
        assert_eq!(glibc(b"GNU C Library without an end"), None);
        assert_eq!(systemd("libsystemd-shared-257.8-1.so"), Some("257.8-1"));
        assert_eq!(systemd("systemd-networkd"), None);
    }
}
