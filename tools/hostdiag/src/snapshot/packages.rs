//! Installed packages and their versions: of dpkg and apk from their files, of rpm, whose
//! database has many forms, by its command.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hostdiag_model::snapshot::Area;

use super::found::{Found, Key};

const DPKG: &str = "/var/lib/dpkg/status";
const APK: &str = "/lib/apk/db/installed";
/// Any of these: there is a database to be asked.
const RPM: [&str; 4] = [
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/Packages.db",
];
/// After which rpm is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest list that is taken, in bytes.
const MAX_LIST: u64 = 16 << 20;

/// Packages by name; of one in several versions or architectures all.
type Packages = BTreeMap<String, String>;

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    let rpm = RPM.iter().any(|path| found.real(path).exists()).then(rpm);
    let lists =
        [Some(found.text(DPKG).map(|text| dpkg(&text))), Some(found.text(APK).map(|text| apk(&text))), rpm];
    for (list, manager) in lists.into_iter().zip(["dpkg", "apk", "rpm"]) {
        match list {
            None => {}
            Some(Ok(packages)) => packages.iter().for_each(|(name, version)| {
                found.value(Key { area: Area::Package, of: None, name }, version);
            }),
            Some(Err(error)) => {
                found.unreadable(Key { area: Area::Package, of: None, name: manager }, &error)
            }
        }
    }
}

/// Stanzas of deb822(5). A package of another architecture has its own name for dpkg too.
fn dpkg(text: &str) -> Packages {
    let mut all = Packages::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
        };
        // What is removed but for its configuration is here too.
        let installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
        if let (true, Some(name), Some(version)) = (installed, field("Package"), field("Version")) {
            add(&mut all, name, version);
        }
    }
    all
}

/// Stanzas of apk: a letter, a colon, a value.
fn apk(text: &str) -> Packages {
    let mut all = Packages::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
        if let (Some(name), Some(version)) = (field("P:"), field("V:")) {
            add(&mut all, name, version);
        }
    }
    all
}

fn add(all: &mut Packages, name: &str, version: &str) {
    let known = all.entry(name.to_owned()).or_default();
    if known.is_empty() {
        *known = version.to_owned();
    } else if !known.split(", ").any(|one| one == version) {
        *known = format!("{known}, {version}");
    }
}

/// By the command, which is ended when it takes too long.
fn rpm() -> io::Result<Packages> {
    let mut child = Command::new("rpm")
        .args(["-qa", "--queryformat", "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let Some(out) = child.stdout.take() else { return Err(io::Error::other("rpm has no output")) };
    let reader = thread::spawn(move || {
        let mut text = String::new();
        out.take(MAX_LIST).read_to_string(&mut text).map(|_| text)
    });
    let ended = wait(&mut child)?;
    let text = reader.join().map_err(|_| io::Error::other("the reader of rpm died"))??;
    if !ended {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "rpm -qa did not end within 5 s"));
    }
    let mut all = Packages::new();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .for_each(|(name, version)| add(&mut all, name, version));
    Ok(all)
}

/// Whether it ended by itself.
fn wait(child: &mut Child) -> io::Result<bool> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait().map(|_| false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_have_their_versions() {
        let text = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n\
                    Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.36-8\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: half\n";
        assert_eq!(dpkg(text), Packages::from([("libc6".into(), "2.36-9, 2.36-8".into())]));
        let text = "C:Q1x\nP:musl\nV:1.2.5-r0\nA:x86_64\n\nP:broken\n";
        assert_eq!(apk(text), Packages::from([("musl".into(), "1.2.5-r0".into())]));
    }
}
