//! `/proc/sys`, with the line that sets each.

mod origin;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use hostdiag_model::snapshot::{Area, Value};

use self::origin::Origins;
use super::found::{Found, Key, is_absent, why};

/// Below these all is read.
const TREES: [&str; 3] = ["kernel", "net", "vm"];
/// Of `fs`, whose other files are counters, and a mount point that mounts when it is listed.
const FILES: [&str; 5] =
    ["fs/aio-max-nr", "fs/epoll/max_user_watches", "fs/file-max", "fs/nr_open", "fs/pipe-max-size"];
/// No settings: counters, names, what is drawn anew at each boot, and secrets.
const NOT_SETTINGS: [&str; 15] = [
    "kernel/cad_pid",
    "kernel/domainname",
    "kernel/hostname",
    "kernel/hung_task_detect_count",
    "kernel/hung_task_warnings",
    "kernel/ns_last_pid",
    "kernel/osrelease",
    "kernel/ostype",
    "kernel/pty/nr",
    "kernel/tainted",
    "kernel/version",
    "net/core/netdev_rss_key",
    "net/ipv4/tcp_fastopen_key",
    "net/netfilter/nf_conntrack_count",
    // Reading it as root makes the kernel add up its counters.
    "vm/stat_refresh",
];
/// Nor what begins or ends like this.
const NOT_BELOW: [&str; 2] = ["kernel/random/", "kernel/sched_domain/"];
const NOT_ENDING: [&str; 3] = ["_next_id", "/stable_secret", "flush"];
/// Folders that have one folder a device, and `default` for devices to come.
const OF_DEVICES: [&str; 5] =
    ["net/ipv4/conf", "net/ipv4/neigh", "net/ipv6/conf", "net/ipv6/neigh", "net/mpls/conf"];

/// Adds them. A value of a device that is as `default` has it is left out, unless a line
/// of configuration is about it.
pub(super) fn gather(found: &mut Found<'_>) {
    let mut paths = FILES.map(str::to_owned).to_vec();
    TREES.iter().for_each(|tree| walk(found, tree, &mut paths));
    paths.retain(|path| is_setting(path));
    let origins = Origins::read(found.root());
    for problem in &origins.problems {
        let key = Key { area: Area::Sysctl, of: Some(&problem.subject), name: "lines" };
        found.push(key, Value::Unreadable(problem.message.clone()));
    }
    let mut read = BTreeMap::new();
    for path in &paths {
        match found.text(&format!("/proc/sys/{path}")) {
            Ok(text) => drop(read.insert(path.as_str(), Value::Value(words(&text)))),
            Err(error) if is_absent(&error) => {}
            Err(error) => drop(read.insert(path.as_str(), Value::Unreadable(why(&error)))),
        }
    }
    for (path, value) in &read {
        let device = device(path);
        let origin = origins.of(path);
        let default = device.and_then(|(tree, _, name)| read.get(format!("{tree}/default/{name}").as_str()));
        if origin.is_none() && default == Some(value) {
            continue;
        }
        let name = match device {
            Some((tree, _, name)) => dotted(&format!("{tree}/{name}")),
            None => dotted(path),
        };
        let key = Key { area: Area::Sysctl, of: device.map(|(_, device, _)| device), name: &name };
        found.push(key, value.clone());
        if let (Some(setting), Some(origin)) = (found.last(), origin) {
            setting.asked = (*value != Value::Value(words(&origin.value))).then(|| origin.value.clone());
            setting.origin = Some(origin.place.clone());
        }
    }
}

/// There are tens of thousands where there are hundreds of devices.
fn is_setting(path: &str) -> bool {
    !(NOT_SETTINGS.contains(&path)
        || NOT_BELOW.iter().any(|folder| path.starts_with(folder))
        || NOT_ENDING.iter().any(|end| path.ends_with(end)))
}

/// Adds the files below a folder of /proc/sys that can be read at all.
fn walk(found: &Found<'_>, folder: &str, paths: &mut Vec<String>) {
    for name in found.list(&format!("/proc/sys/{folder}")) {
        let path = format!("{folder}/{name}");
        let Ok(meta) = fs::symlink_metadata(found.real(&format!("/proc/sys/{path}"))) else { continue };
        if meta.is_dir() {
            walk(found, &path, paths);
        } else if meta.is_file() && meta.mode() & 0o444 != 0 {
            paths.push(path);
        }
    }
}

/// The folder of devices, the device and the name of `net/ipv4/conf/eth0/rp_filter`.
fn device(path: &str) -> Option<(&str, &str, &str)> {
    let tree = OF_DEVICES.iter().find(|tree| path.starts_with(&format!("{tree}/")))?;
    let (device, name) = path.get(tree.len() + 1..)?.split_once('/')?;
    (device != "all" && device != "default").then_some((tree, device, name))
}

/// As sysctl(8) writes it: a dot in a name is a slash there.
fn dotted(path: &str) -> String {
    path.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            c => c,
        })
        .collect()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use hostdiag_model::snapshot::Setting;

    use super::*;
    use crate::snapshot::fixture::Fixture;

    #[test]
    fn settings_have_the_line_that_sets_them() {
        let host = Fixture::new("sysctl");
        host.write("proc/sys/net/core/default_qdisc", "fq\n");
        host.write("proc/sys/vm/swappiness", "10\n");
        host.write("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n");
        for secret in
            ["kernel/random/boot_id", "net/ipv6/conf/all/stable_secret", "net/ipv4/tcp_fastopen_key"]
        {
            host.write(&format!("proc/sys/{secret}"), "0d2b\n");
        }
        host.write("etc/sysctl.d/10-x.conf", "# first\nnet/core/default_qdisc = fq\nvm.swappiness=1\n");
        let mut found = Found::new(host.root());
        gather(&mut found);
        let all = found.finish();
        let of = |name: &str| all.iter().find(|setting| setting.name == name).unwrap();
        let value = |setting: &Setting| setting.value.clone();
        assert_eq!(value(of("net.ipv4.tcp_rmem")), Value::Value("4096 131072 6291456".into()));
        assert_eq!(of("net.ipv4.tcp_rmem").origin, None);
        assert_eq!(of("net.core.default_qdisc").origin.as_deref(), Some("/etc/sysctl.d/10-x.conf:2"));
        assert_eq!(of("net.core.default_qdisc").asked, None);
        assert_eq!(of("vm.swappiness").asked.as_deref(), Some("1"));
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn of_a_device_what_differs_from_the_default_is_kept() {
        let host = Fixture::new("sysctl-device");
        for (device, value) in [("all", "0"), ("default", "2"), ("eth0", "2"), ("eth1.10", "1")] {
            host.write(&format!("proc/sys/net/ipv4/conf/{device}/rp_filter"), value);
        }
        let mut found = Found::new(host.root());
        gather(&mut found);
        let all: Vec<_> = found.finish().into_iter().map(|s| (s.of, s.name)).collect();
        let setting = |of: Option<&str>, name: &str| (of.map(str::to_owned), name.to_owned());
        let expected = [
            setting(None, "net.ipv4.conf.all.rp_filter"),
            setting(None, "net.ipv4.conf.default.rp_filter"),
            setting(Some("eth1.10"), "net.ipv4.conf.rp_filter"),
        ];
        assert_eq!(all, expected);
    }
}
