//! `hostdiag snapshot` against what was set up and done around it.
use std::fs;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use hostdiag_model::snapshot::{Area, Unit, Value};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Link, NetNs, Taken, Unprivileged, hostdiag, ip, run, wait_until};

#[test]
fn sysctls_have_their_value_and_the_line_that_sets_them() {
    let namespace = NetNs::new("sysctl");
    let _entered = namespace.enter();
    // Of this thread alone: its mounts are its own.
    mount(None::<&str>, "/etc", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    fs::create_dir("/etc/sysctl.d").unwrap();
    let lines = "net.core.somaxconn = 777\n# a comment\nnet.ipv4.tcp_retries2=9\n";
    fs::write("/etc/sysctl.d/90-test.conf", lines).unwrap();
    fs::write("/proc/sys/net/core/somaxconn", "777").unwrap();
    fs::write("/proc/sys/net/ipv4/tcp_retries2", "8").unwrap();
    let taken = Taken::now(&["--interval", "0"]);
    let set = taken.setting(None, "net.core.somaxconn");
    assert_eq!(set.value, Value::Value("777".into()));
    assert_eq!((set.origin.as_deref(), set.asked.as_deref()), (Some("/etc/sysctl.d/90-test.conf:1"), None));
    let other = taken.setting(None, "net.ipv4.tcp_retries2");
    assert_eq!(other.value, Value::Value("8".into()));
    let origin = (other.origin.as_deref(), other.asked.as_deref());
    assert_eq!(origin, (Some("/etc/sysctl.d/90-test.conf:3"), Some("9")));
    assert_eq!(taken.setting(None, "net.ipv4.tcp_sack").origin, None);
    assert!(taken.0.rates.is_empty() && taken.0.interval_ms == 0);
}

#[test]
fn the_kernel_is_the_one_that_runs() {
    let taken = Taken::now(&["--interval", "0"]);
    assert_eq!(taken.value(None, "release"), run("uname", &["-r"]).trim());
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap();
    let cpus = cpus.lines().filter(|line| line.starts_with("processor")).count();
    assert_eq!(taken.value(None, "cpus"), cpus.to_string());
    let clock =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").unwrap();
    assert_eq!(taken.value(None, "clocksource"), clock.trim());
    let mut keys: Vec<_> = taken.0.settings.iter().map(|s| (s.area, &s.of, &s.name)).collect();
    let sorted = keys.clone();
    keys.sort();
    keys.dedup();
    assert_eq!(keys, sorted, "sorted, each once");
}

#[test]
fn links_and_queues_are_as_they_were_made() {
    let namespace = NetNs::new("links");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    ip(&["link", "set", "nic0", "mtu", "1234", "txqueuelen", "77"]);
    let _bridge = Link::bridge("br0", &["port0"]);
    fs::write("/sys/class/net/br0/bridge/ageing_time", "12300").unwrap();
    run("tc", &["qdisc", "replace", "dev", "nic0", "root", "pfifo", "limit", "10"]);
    let taken = Taken::now(&["--interval", "0"]);
    for (of, name, expected) in [
        ("nic0", "mtu", "1234"),
        ("nic0", "txqueuelen", "77"),
        ("nic0", "kind", "veth"),
        ("nic0", "root", "pfifo"),
        ("nic0", "root pfifo limit", "10"),
        ("port0", "master", "br0"),
        ("br0", "bridge ageing_time", "12300"),
        ("br0", "kind", "bridge"),
    ] {
        assert_eq!(taken.value(Some(of), name), expected, "{of} {name}");
    }
    let devices: Vec<_> = taken.0.offload.namespaces[0].devices.iter().map(|d| d.name.as_str()).collect();
    assert!(["nic0", "port0", "br0"].iter().all(|name| devices.contains(name)), "{devices:?}");
}

/// Sends while a snapshot is taken: no more was counted than was sent.
#[test]
fn what_happens_meanwhile_is_counted() {
    let namespace = NetNs::new("rates");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    ip(&["address", "add", "192.0.2.1/24", "dev", "nic0"]);
    ip(&["neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "nic0"]);
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    let (taken, sent) = Taken::during("500ms", || {
        socket.send_to(&[0; 100], "192.0.2.2:9").unwrap();
    });
    let packets = taken.count(Some("nic0"), "tx_packets");
    assert!(packets > 0 && packets <= sent, "{packets} of {sent}");
    // Ethernet 14, IPv4 20, UDP 8; the kernel's own packets, for neighbours, are no shorter.
    assert!(taken.count(Some("nic0"), "tx_bytes") >= packets * 60);
    let datagrams = taken.count(None, "UdpOutDatagrams");
    assert!(datagrams > 0 && datagrams <= sent, "{datagrams} of {sent}");
    assert!(taken.count(None, "NET_RX") > 0);
    assert!(taken.count(None, "softnet processed") > 0);
    assert!(taken.count(None, "context switches") > 0);
    let system = taken.rate(None, "system");
    assert!(system.unit == Unit::Microseconds && system.count > 0, "{system:?}");
    // All CPUs were something all the time; ticks are counted at their end.
    let kinds = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
    let time: u64 = kinds.iter().map(|kind| taken.count(None, kind)).sum();
    let cpus: u64 = taken.value(None, "cpus").parse().unwrap();
    assert!(time <= 2 * cpus * taken.0.interval_ms * 1000 + 40_000 * cpus, "{time} us on {cpus}");
}

#[test]
fn without_root_it_says_what_it_could_not_read() {
    let program = Unprivileged::new();
    let taken = Taken::by(&mut program.command(), &["--interval", "100ms"]);
    assert_eq!(taken.value(None, "release"), run("uname", &["-r"]).trim());
    let programs = taken.setting(None, "programs");
    assert_eq!(
        (programs.area, &programs.value),
        (Area::Bpf, &Value::Unreadable("Operation not permitted".into()))
    );
    assert!(taken.count(None, "context switches") > 0);
    let output = program.command().args(["snapshot", "--interval", "0"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nNot read\n") && text.contains("bpf 1"), "{text}");
    assert!(text.lines().count() <= 50, "more than a screen:\n{text}");
}

#[test]
fn an_interrupt_ends_the_interval_and_keeps_what_was_counted() {
    let mut command = hostdiag();
    command.args(["snapshot", "--format", "json", "--interval", "10m"]).process_group(0);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Counted from the first reading on, after which it sleeps: 300 ms without a switch.
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let of = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let waits = of("SigBlk:") == "0000000000004003" && of("State:").starts_with('S');
        waits.then(|| of("voluntary_ctxt_switches:"))
    };
    wait_until("it waits for the end of the interval", || {
        let before = switches();
        sleep(Duration::from_millis(300));
        before.is_some() && before == switches()
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let taken = Taken::read(&output.stdout);
    assert!(taken.0.interval_ms < 600_000);
    assert!(taken.count(None, "context switches") > 0);
}
