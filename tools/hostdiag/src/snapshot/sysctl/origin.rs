//! Which line of the configuration sets a sysctl, by the rules of sysctl.d(5).

use std::collections::BTreeMap;
use std::path::Path;

use hostdiag_model::glob;
use hostdiag_model::offload::Problem;

use crate::files::Files;

/// Falling priority: a file hides those of its name in later ones. `/lib` is where
/// systems put it whose `/usr` is not merged.
const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// Read last by `sysctl --system` of procps, by systemd only where a link leads to it.
const SYSCTL_CONF: &str = "/etc/sysctl.conf";

/// A line that sets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// `FILE:LINE`.
    pub(super) place: String,
    /// What it asks for.
    pub(super) value: String,
}

/// All lines that set something, by what they set.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// By path below /proc/sys; the last line wins.
    exact: BTreeMap<String, Origin>,
    /// Patterns of such paths, in order.
    patterns: Vec<(String, Origin)>,
    /// What patterns are not about: a key behind `-`, without a value.
    excluded: Vec<String>,
    /// Files that could not be read.
    pub(super) problems: Vec<Problem>,
}

impl Origins {
    /// Of the host below `root`.
    pub(super) fn read(root: &Path) -> Self {
        let mut files = Files::new(root);
        let layered = files.layered(&FOLDERS, ".conf");
        let mut all = Self::default();
        for path in layered.into_values().chain([SYSCTL_CONF.to_owned()]) {
            let text = files.read(&path).unwrap_or_default();
            for (number, line) in (1..).zip(text.lines()) {
                all.add(line, || format!("{path}:{number}"));
            }
        }
        all.problems = files.problems;
        all
    }

    fn add(&mut self, line: &str, place: impl FnOnce() -> String) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return;
        }
        // A `-` says that it may fail.
        let (may_fail, line) = line.strip_prefix('-').map_or((false, line), |rest| (true, rest));
        let Some((key, value)) = line.split_once('=') else {
            if may_fail {
                self.excluded.push(path_of(line.trim()));
            }
            return;
        };
        let path = path_of(key.trim());
        let origin = Origin { place: place(), value: value.trim().to_owned() };
        if glob::is_pattern(&path) {
            self.patterns.push((path, origin));
        } else {
            self.exact.insert(path, origin);
        }
    }

    /// The line that sets a path below /proc/sys. A pattern does not set what a line
    /// names, wherever that stands.
    pub(super) fn of(&self, path: &str) -> Option<&Origin> {
        if let Some(origin) = self.exact.get(path) {
            return Some(origin);
        }
        if self.excluded.iter().any(|pattern| matches(pattern, path)) {
            return None;
        }
        self.patterns.iter().rev().find(|(pattern, _)| matches(pattern, path)).map(|(_, origin)| origin)
    }
}

/// A key as a path: where its first separator is a dot, dots are slashes and slashes
/// dots.
fn path_of(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key[at..].starts_with('.') => super::dotted(key),
        _ => key.to_owned(),
    }
}

/// As glob(3): no star leads across a slash.
fn matches(pattern: &str, path: &str) -> bool {
    let count = |text: &str| text.split('/').count();
    count(pattern) == count(path)
        && pattern.split('/').zip(path.split('/')).all(|(pattern, step)| glob::matches(pattern, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::fixture::Fixture;

    fn of<'a>(origins: &'a Origins, path: &str) -> Option<(&'a str, &'a str)> {
        origins.of(path).map(|origin| (origin.place.as_str(), origin.value.as_str()))
    }

    #[test]
    fn the_last_file_by_name_wins_and_hides_its_namesakes() {
        let host = Fixture::new("origin-order");
        host.write("usr/lib/sysctl.d/50-a.conf", "vm.swappiness = 1\nkernel.panic = 5\n");
        host.write("usr/lib/sysctl.d/60-b.conf", "vm.swappiness = 2\n");
        host.write("run/sysctl.d/50-a.conf", "kernel.panic = 6\n");
        host.write("etc/sysctl.d/40-early.conf", "vm.swappiness = 3\nkernel.panic = 7\n");
        host.link("etc/sysctl.d/60-b.conf", "/dev/null");
        host.write("etc/sysctl.conf", "; procps\nkernel.sysrq=1\n");
        let origins = Origins::read(host.root());
        assert_eq!(of(&origins, "vm/swappiness"), Some(("/etc/sysctl.d/40-early.conf:1", "3")));
        assert_eq!(of(&origins, "kernel/panic"), Some(("/run/sysctl.d/50-a.conf:1", "6")));
        assert_eq!(of(&origins, "kernel/sysrq"), Some(("/etc/sysctl.conf:2", "1")));
    }

    #[test]
    fn patterns_set_what_no_line_names_or_excludes() {
        let host = Fixture::new("origin-patterns");
        let text = "net.ipv4.conf.*.rp_filter = 2\nnet.ipv4.conf.eth1.rp_filter = 0\n\
                    -net.ipv4.conf.all.rp_filter\n-net.ipv4.conf.eth0/1.mtu = 9\nnet.ipv4.*.rp_filter = 7\n";
        host.write("etc/sysctl.d/a.conf", text);
        let origins = Origins::read(host.root());
        let place = |path: &str| of(&origins, path).map(|(_, value)| value);
        assert_eq!(place("net/ipv4/conf/eth0/rp_filter"), Some("2"));
        assert_eq!(place("net/ipv4/conf/eth1/rp_filter"), Some("0"));
        assert_eq!(place("net/ipv4/conf/all/rp_filter"), None);
        assert_eq!(place("net/ipv4/conf/eth0.1/mtu"), Some("9"));
    }
}
