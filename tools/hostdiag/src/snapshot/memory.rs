//! Sizes of memory and swap; the rest is in the table.

use hostdiag_model::snapshot::Area;

use super::found::{Found, Key};

/// Of /proc/meminfo, what is set up and not used.
const SIZES: [&str; 4] = ["MemTotal", "SwapTotal", "HugePages_Total", "Hugepagesize"];

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    sizes(found, None, "/proc/meminfo");
    for node in found.list("/sys/devices/system/node") {
        if node.starts_with("node") {
            sizes(found, Some(&node), &format!("/sys/devices/system/node/{node}/meminfo"));
        }
    }
    match found.text("/proc/swaps") {
        Ok(text) => text.lines().skip(1).filter_map(swap).for_each(|(device, value)| {
            found.value(Key { area: Area::Memory, of: Some(device), name: "swap" }, &value);
        }),
        Err(error) => found.unreadable(Key { area: Area::Memory, of: None, name: "swap" }, &error),
    }
}

fn sizes(found: &mut Found<'_>, of: Option<&str>, path: &str) {
    let key = |name| Key { area: Area::Memory, of, name };
    let text = match found.text(path) {
        Ok(text) => text,
        Err(error) => return found.unreadable(key("MemTotal"), &error),
    };
    for (name, value) in text.lines().filter_map(size) {
        found.value(key(name), value);
    }
}

/// `MemTotal: 8000 kB`, on nodes with `Node 0` before it.
fn size(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.rsplit(' ').next()?;
    SIZES.contains(&name).then_some((name, value))
}

/// Device, kind, size and priority of `FILE TYPE SIZE USED PRIORITY`, sizes in KiB.
fn swap(line: &str) -> Option<(&str, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [device, kind, size, _, priority] = words[..] else { return None };
    Some((device, format!("{kind} {size} KiB priority {priority}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_of_hosts_and_nodes() {
        assert_eq!(size("MemTotal:        8000 kB"), Some(("MemTotal", "        8000 kB")));
        assert_eq!(size("Node 0 MemTotal:  4000 kB"), Some(("MemTotal", "  4000 kB")));
        assert_eq!(size("MemFree: 1 kB"), None);
    }

    #[test]
    fn a_swap_has_its_size_but_not_its_use() {
        let line = "/dev/zram0    partition\t2097148\t\t51200\t\t100";
        assert_eq!(swap(line), Some(("/dev/zram0", "partition 2097148 KiB priority 100".into())));
        assert_eq!(swap("Filename Type"), None);
    }
}
