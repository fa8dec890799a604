//! Counters of protocols, devices and the queues before them.

use hostdiag_model::snapshot::Area;

use super::{Counts, Parser};
use crate::snapshot::found::Found;

/// Of /proc/net/snmp, what is no counter.
const NO_COUNTERS: [&str; 7] = [
    "IpForwarding",
    "IpDefaultTTL",
    "TcpRtoAlgorithm",
    "TcpRtoMin",
    "TcpRtoMax",
    "TcpMaxConn",
    "TcpCurrEstab",
];
/// Columns of /proc/net/dev: eight of what was received, eight of what was sent.
const COLUMNS: [&str; 16] = [
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "rx_fifo",
    "rx_frame",
    "rx_compressed",
    "rx_multicast",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
    "tx_fifo",
    "tx_collisions",
    "tx_carrier",
    "tx_compressed",
];
/// Columns of /proc/net/softnet_stat (net/core/net-procfs.c, `softnet_seq_show`).
const SOFTNET: [(usize, &str); 5] = [
    (0, "softnet processed"),
    (1, "softnet dropped"),
    (2, "softnet time_squeeze"),
    (9, "softnet received_rps"),
    (10, "softnet flow_limit"),
];
/// The column that has the number of the CPU, where there is one (Linux 5.10).
const SOFTNET_CPU: usize = 12;

/// Adds them, of the network namespace of this thread.
pub(super) fn count(found: &Found<'_>, counts: &mut Counts) {
    let files: [(&str, Parser); 5] =
        [("snmp", pairs), ("netstat", pairs), ("snmp6", names), ("dev", devices), ("softnet_stat", softnet)];
    for (file, parse) in files {
        counts.file(found, (Area::Net, &format!("/proc/thread-self/net/{file}")), parse);
    }
}

/// A line of names and a line of values, both beginning with `Tcp:`.
fn pairs(text: &str, counts: &mut Counts) {
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks_exact(2) {
        let (Some((protocol, names)), Some((_, values))) = (pair[0].split_once(':'), pair[1].split_once(':'))
        else {
            continue;
        };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            let name = format!("{protocol}{name}");
            // Of a value that may be negative, MaxConn, nothing was counted.
            if let (false, Ok(count)) = (NO_COUNTERS.contains(&name.as_str()), value.parse()) {
                counts.add((Area::Net, None, &name), count);
            }
        }
    }
}

/// A name and a value a line.
fn names(text: &str, counts: &mut Counts) {
    for (name, value) in text.lines().filter_map(|line| line.split_once(char::is_whitespace)) {
        if let Ok(count) = value.trim().parse() {
            counts.add((Area::Net, None, name), count);
        }
    }
}

/// Below two lines of heading `  eth0: 1234 …`.
fn devices(text: &str, counts: &mut Counts) {
    for (device, values) in text.lines().skip(2).filter_map(|line| line.split_once(':')) {
        for (name, value) in COLUMNS.iter().zip(values.split_whitespace()) {
            if let Ok(count) = value.parse() {
                counts.add((Area::Link, Some(device.trim()), name), count);
            }
        }
    }
}

/// A line a CPU that is online, in hexadecimal.
fn softnet(text: &str, counts: &mut Counts) {
    for (line, number) in text.lines().zip(0..) {
        let columns: Vec<u64> =
            line.split_whitespace().filter_map(|word| u64::from_str_radix(word, 16).ok()).collect();
        let cpu = format!("cpu{}", columns.get(SOFTNET_CPU).copied().unwrap_or(number));
        for (column, name) in SOFTNET {
            if let Some(count) = columns.get(column) {
                counts.add((Area::Net, Some(&cpu), name), *count);
                counts.add((Area::Net, None, name), *count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &Counts, of: Option<&str>, name: &str) -> Option<u64> {
        let found = counts.all.iter().find(|((_, o, n), _)| o.as_deref() == of && n == name)?;
        Some(found.1.0)
    }

    #[test]
    fn counters_of_protocols_are_found_by_name() {
        let mut counts = Counts::default();
        pairs(
            "Tcp: RtoMin CurrEstab MaxConn OutSegs\nTcp: 200 4 -1 700\nTcpExt: TCPTimeouts\nTcpExt: 8\n",
            &mut counts,
        );
        names("Ip6InReceives                   \t45\n", &mut counts);
        assert_eq!(of(&counts, None, "TcpOutSegs"), Some(700));
        assert_eq!(of(&counts, None, "TcpExtTCPTimeouts"), Some(8));
        assert_eq!(of(&counts, None, "Ip6InReceives"), Some(45));
        assert_eq!(counts.all.len(), 3);
    }

    #[test]
    fn devices_and_cpus_have_their_own() {
        let mut counts = Counts::default();
        devices("Inter-|\n face |\n  eth0: 10 2 0 1 0 0 0 0 30 4 0 0 0 0 0 0\n", &mut counts);
        assert_eq!(of(&counts, Some("eth0"), "rx_dropped"), Some(1));
        assert_eq!(of(&counts, Some("eth0"), "tx_bytes"), Some(30));
        softnet("0000000a 00000001 00000002\n", &mut counts);
        softnet("00000005 0 0 0 0 0 0 0 0 00000003 0 0 00000007\n", &mut counts);
        assert_eq!(of(&counts, None, "softnet processed"), Some(15));
        assert_eq!(of(&counts, Some("cpu7"), "softnet received_rps"), Some(3));
        assert_eq!(of(&counts, Some("cpu0"), "softnet time_squeeze"), Some(2));
    }
}
