//! Disks: their queues, and how what lies on them is mounted.

use hostdiag_model::snapshot::Area;

use super::found::{Found, Key};

/// Below /sys/block/DEVICE.
const QUEUE: [&str; 14] = [
    "queue/scheduler",
    "queue/nr_requests",
    "queue/read_ahead_kb",
    "queue/rotational",
    "queue/rq_affinity",
    "queue/nomerges",
    "queue/max_sectors_kb",
    "queue/wbt_lat_usec",
    "queue/write_cache",
    "queue/io_poll",
    "queue/iostats",
    "queue/logical_block_size",
    "queue/add_random",
    "device/queue_depth",
];

/// Adds them. A device without a size, as of a loop that is not used, is none.
pub(super) fn gather(found: &mut Found<'_>) {
    for device in found.list("/sys/block") {
        let folder = format!("/sys/block/{device}");
        if !found.read(&format!("{folder}/size")).is_ok_and(|size| size.trim() != "0") {
            continue;
        }
        for path in QUEUE {
            let name = path.rsplit('/').next().unwrap_or(path);
            found.file(Key { area: Area::Block, of: Some(&device), name }, &format!("{folder}/{path}"));
        }
    }
    match found.text("/proc/mounts") {
        Ok(text) => text.lines().filter_map(mount).for_each(|(point, value)| {
            found.value(Key { area: Area::Block, of: Some(&point), name: "mount" }, &value);
        }),
        Err(error) => found.unreadable(Key { area: Area::Block, of: None, name: "mounts" }, &error),
    }
}

/// Where, and kind and options, of what lies on a device or on another host.
fn mount(line: &str) -> Option<(String, String)> {
    let mut words = line.split(' ');
    let (source, point) = (words.next()?, words.next()?);
    let (kind, options) = (words.next()?, words.next()?);
    let stored = source.starts_with('/') && !source.starts_with("/dev/loop") || kind.starts_with("nfs");
    stored.then(|| (point.replace("\\040", " "), format!("{kind} {options}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::fixture::Fixture;

    #[test]
    fn disks_that_hold_something_are_read() {
        let host = Fixture::new("block");
        for (device, size) in [("sda", "100"), ("loop0", "0")] {
            host.write(&format!("sys/block/{device}/size"), size);
            host.write(&format!("sys/block/{device}/queue/scheduler"), "none [bfq]\n");
        }
        host.write("proc/mounts", "/dev/sda1 / ext4 rw,noatime 0 0\nproc /proc proc rw 0 0\n");
        let mut found = Found::new(host.root());
        gather(&mut found);
        let all: Vec<_> = found.finish().into_iter().map(|s| (s.of.unwrap(), s.name)).collect();
        assert_eq!(all, [("/".into(), "mount".into()), ("sda".to_owned(), "scheduler".to_owned())]);
    }
}
