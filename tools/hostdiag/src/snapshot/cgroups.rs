//! Control groups: which version, and groups that limit something. Limits of processes
//! as init has them, which is what services begin with.

use hostdiag_model::snapshot::Area;

use super::found::{Found, Key};

/// Files of version 2 and what they hold where they limit nothing.
const UNIFIED: [(&str, &str); 9] = [
    ("cpu.max", "max 100000"),
    ("cpu.weight", "100"),
    ("cpuset.cpus", ""),
    ("cpuset.mems", ""),
    ("memory.max", "max"),
    ("memory.high", "max"),
    ("memory.swap.max", "max"),
    ("io.max", ""),
    ("io.latency", ""),
];
/// Hierarchy and file of version 1 and what they hold where they limit nothing.
const LEGACY: [(&str, &str, &str); 4] = [
    ("cpu", "cpu.cfs_quota_us", "-1"),
    ("cpu", "cpu.shares", "1024"),
    // LONG_MAX in pages of 4 KiB.
    ("memory", "memory.limit_in_bytes", "9223372036854771712"),
    ("memory", "memory.memsw.limit_in_bytes", "9223372036854771712"),
];
const MOUNT: &str = "/sys/fs/cgroup";
/// Groups deeper than this are not looked at: slice, service, its own.
const MAX_DEPTH: usize = 4;
/// More groups than this are not looked at, which is said.
const MAX_GROUPS: usize = 2000;

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    let key = |name| Key { area: Area::Cgroup, of: None, name };
    let unified = found.read(&format!("{MOUNT}/cgroup.controllers"));
    let legacy: Vec<String> = found
        .list(MOUNT)
        .into_iter()
        .filter(|name| found.read(&format!("{MOUNT}/{name}/cgroup.clone_children")).is_ok())
        .collect();
    match (&unified, legacy.is_empty()) {
        (Ok(controllers), _) => {
            found.value(key("version"), "2");
            found.value(key("controllers"), controllers);
        }
        (Err(_), false) => {
            found.value(key("version"), "1");
            found.value(key("controllers"), &legacy.join(" "));
        }
        // Mounted elsewhere, or nowhere.
        (Err(_), true) => {}
    }
    if unified.is_ok() {
        limits(found, MOUNT, &UNIFIED);
    }
    for (hierarchy, file, free) in LEGACY {
        limits(found, &format!("{MOUNT}/{hierarchy}"), &[(file, free)]);
    }
    of_init(found);
}

/// Groups below `mount` with a file that does not hold what it does by default.
fn limits(found: &mut Found<'_>, mount: &str, files: &[(&str, &str)]) {
    let mut pending = vec![(String::new(), 0)];
    let mut seen = 0;
    while let Some((group, depth)) = pending.pop() {
        seen += 1;
        if seen > MAX_GROUPS {
            let key = Key { area: Area::Cgroup, of: None, name: "groups" };
            return found.value(key, &format!("over {MAX_GROUPS}, the rest was not read"));
        }
        for (file, free) in files {
            let Ok(value) = found.read(&format!("{mount}{group}/{file}")) else { continue };
            // The root of version 1 has its files, which limit nothing.
            if value.trim() != *free && !group.is_empty() {
                found.value(Key { area: Area::Cgroup, of: Some(&group), name: file }, &value);
            }
        }
        if depth < MAX_DEPTH {
            let folders = found.folders(&format!("{mount}{group}"));
            pending.extend(folders.into_iter().map(|name| (format!("{group}/{name}"), depth + 1)));
        }
    }
}

/// Soft limits of process 1.
fn of_init(found: &mut Found<'_>) {
    let Ok(text) = found.text("/proc/1/limits") else { return };
    for (name, soft) in text.lines().skip(1).filter_map(limit) {
        found.value(Key { area: Area::Cgroup, of: Some("init"), name }, soft);
    }
}

/// Name and soft limit: columns are two spaces or more apart.
fn limit(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
    Some((columns.next()?, columns.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::fixture::Fixture;

    #[test]
    fn groups_that_limit_something_are_found() {
        let host = Fixture::new("cgroups");
        host.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        for (group, max) in [("a.slice", "max"), ("a.slice/b.service", "1048576"), ("c.slice", "max")] {
            host.write(&format!("sys/fs/cgroup/{group}/memory.max"), max);
            host.write(&format!("sys/fs/cgroup/{group}/cpu.max"), "max 100000\n");
        }
        host.write(
            "proc/1/limits",
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max open files            1024                 524288               files     \n",
        );
        let mut found = Found::new(host.root());
        gather(&mut found);
        let all: Vec<_> = found.finish().into_iter().map(|s| (s.of.unwrap_or_default(), s.name)).collect();
        let expected = [
            ("", "controllers"),
            ("", "version"),
            ("/a.slice/b.service", "memory.max"),
            ("init", "Max open files"),
        ];
        assert_eq!(all, expected.map(|(of, name)| (of.to_owned(), name.to_owned())));
    }
}
