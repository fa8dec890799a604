use hostdiag_model::snapshot::{Rate, Unit, Value};
use hostdiag_model::{Data, Host};

use super::*;

fn setting(area: Area, name: &str, value: &str) -> Setting {
    let (of, value) = (None, Value::Value(value.to_owned()));
    Setting { area, of, name: name.to_owned(), value, origin: None, asked: None }
}

fn shown(snapshot: Snapshot, all: bool) -> String {
    let recording = Recording {
        tool: "0.1.0".into(),
        command: "snapshot".into(),
        host: Host { name: "web17".into(), kernel: Some("6.12.0".into()), ..Host::default() },
        started_ms: 1_787_000_000_000,
        elapsed_ms: Some(1000),
        side: None,
        loss: Vec::new(),
        data: Data::Snapshot(Box::new(snapshot)),
    };
    let Data::Snapshot(snapshot) = &recording.data else { panic!("a snapshot") };
    text(&recording, snapshot, Options { all, ..Options::default() })
}

#[test]
fn what_is_unusual_comes_first() {
    let by_hand = Setting {
        origin: Some("/etc/sysctl.d/90-x.conf:2".into()),
        asked: Some("fq".into()),
        ..setting(Area::Sysctl, "net.core.default_qdisc", "fq_codel")
    };
    let unread =
        Setting { value: Value::Unreadable("Permission denied".into()), ..setting(Area::Log, "kmsg", "") };
    let settings = vec![
        setting(Area::Kernel, "mitigation mds", "Vulnerable"),
        setting(Area::Kernel, "mitigation srbds", "Not affected"),
        setting(Area::Kernel, "taint", "not tainted"),
        by_hand,
        unread,
    ];
    let text = shown(Snapshot { settings, ..Snapshot::default() }, false);
    let expected = "web17  Linux 6.12.0\n2026-08-17T20:53:20Z, nothing was counted\n\n\
        Unusual\n  kernel    mitigation mds = Vulnerable\n  \
        sysctl    net.core.default_qdisc = fq_codel  /etc/sysctl.d/90-x.conf:2 asks for fq\n\n\
        Not read\n  Permission denied: log 1\n\n\
        5 settings, 0 counters (--all)\n  kernel 3, sysctl 1, log 1\n";
    assert_eq!(text, expected);
}

#[test]
fn counters_are_shown_per_second() {
    let rate = |area, of: Option<&str>, name: &str, count| Rate {
        area,
        of: of.map(str::to_owned),
        name: name.to_owned(),
        count,
        unit: Unit::Events,
    };
    let rates = vec![
        rate(Area::Cpu, None, "user", 1_000_000),
        rate(Area::Cpu, None, "idle", 3_000_000),
        rate(Area::Cpu, None, "context switches", 5000),
        rate(Area::Link, Some("eth0"), "rx_bytes", 3000),
        rate(Area::Link, Some("eth0"), "rx_packets", 4),
        rate(Area::Net, None, "TcpRetransSegs", 6),
        rate(Area::Net, Some("cpu0"), "softnet dropped", 6),
    ];
    let text = shown(Snapshot { interval_ms: 2000, rates, ..Snapshot::default() }, false);
    for line in [
        "  cpu       user 25.0, nice 0.0, system 0.0, irq 0.0, softirq 0.0, iowait 0.0, steal 0.0, idle 75.0 %",
        "  work      2.50k/s context switches",
        "  eth0      received 1.50k/s bytes in 2/s packets, sent 0/s bytes in 0/s packets",
        "  trouble   TcpRetransSegs 3/s",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}:\n{text}");
    }
}

#[test]
fn a_host_of_many_devices_takes_one_screen() {
    let settings = (0..500).map(|number| Setting {
        origin: Some("/etc/sysctl.conf:1".into()),
        ..setting(Area::Sysctl, &format!("net.x{number}"), "1")
    });
    let mut snapshot = Snapshot { settings: settings.collect(), interval_ms: 1000, ..Snapshot::default() };
    for number in 0..300 {
        for name in ["rx_bytes", "rx_dropped"] {
            let (of, name) = (Some(format!("veth{number}")), name.to_owned());
            snapshot.rates.push(Rate { area: Area::Link, of, name, count: 9, unit: Unit::Events });
        }
    }
    let lines = shown(snapshot.clone(), false).lines().count();
    assert!(lines <= 40, "{lines}");
    assert!(shown(snapshot, true).lines().count() > 1100);
}
