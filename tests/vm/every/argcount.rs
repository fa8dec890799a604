//! `hostdiag argcount` counts the values of every call, by every mechanism this kernel
//! has.
use std::fs::{self, File};
use std::io::Read;
use std::net::UdpSocket;
use std::path::Path;

use hostdiag_model::trace::Accounting;
use nix::sys::socket::{setsockopt, sockopt};

use crate::lab::arguments::{WORKER, as_worker, values};
use crate::lab::{Link, NetNs, Traced, Tracing, btf, ip, refused_trace, wait_until};

/// Sizes and how often they are sent.
const SENT: [(usize, u64); 4] = [(8, 17), (44, 40), (300, 3), (1400, 65)];

/// A socket that is connected to another of this host.
struct Pair {
    sender: UdpSocket,
    _receiver: UdpSocket,
    port: u16,
}

impl Pair {
    fn new() -> Self {
        ip(&["link", "set", "lo", "up"]);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = receiver.local_addr().unwrap().port();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(("127.0.0.1", port)).unwrap();
        Self { sender, _receiver: receiver, port }
    }

    fn send(&self, sizes: &[(usize, u64)]) {
        for (size, times) in sizes {
            for _ in 0..*times {
                assert_eq!(self.sender.send(&vec![0; *size]).unwrap(), *size);
            }
        }
    }
}

fn total() -> u64 {
    SENT.iter().map(|(_, times)| times).sum()
}

/// `--attach` and what comes of it; `joined`: of a tool that looks at both sides.
fn ways(joined: bool) -> Vec<(&'static str, &'static str)> {
    let mut ways = vec![("fentry", "fentry"), ("kprobe", "kprobe")];
    if btf("bpf_kprobe_multi_link") {
        ways.push(("multi", "kprobe.multi"));
        if joined {
            ways.push(("session", "kprobe.session"));
        }
    }
    ways
}

fn rows(list: &[(&str, u64)]) -> Vec<String> {
    list.iter().map(|(values, count)| format!("{values}: {count}")).collect()
}

#[track_caller]
fn nothing_lost(traced: &Traced) {
    assert_eq!(traced.accounting().losses().collect::<Vec<_>>(), [], "{}", traced.said);
}

#[test]
fn argcount_counts_every_size() {
    let namespace = NetNs::new("sizes");
    let _entered = namespace.enter();
    let pair = Pair::new();
    for (way, mechanism) in ways(false) {
        let traced = values(&["--attach", way, "udp_sendmsg", "len"], || pair.send(&SENT));
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        assert_eq!(traced.rows(), rows(&[("8", 17), ("44", 40), ("300", 3), ("1400", 65)]));
        assert_eq!(traced.accounting().entries, Some(total()));
        nothing_lost(&traced);
    }
}

/// A port in the order of the network, a name of an enumeration, bits, an address.
#[test]
fn argcount_follows_pointers_and_takes_values_as_their_types_have_them() {
    let namespace = NetNs::new("fields");
    let _entered = namespace.enter();
    let pair = Pair::new();
    setsockopt(&pair.sender, sockopt::ReuseAddr, &true).unwrap();
    let port = pair.port.to_string();
    let expressions =
        ["sk->__sk_common.skc_dport", "sk->sk_socket->state", "sk->__sk_common.skc_reuse", "arg3"];
    for (way, _) in ways(false) {
        let args = [&["--attach", way, "udp_sendmsg"], &expressions[..]].concat();
        let traced = values(&args, || pair.send(&[(8, 5)]));
        assert_eq!(traced.rows(), [format!("{port} 1 1 8: 5")], "{way}");
        nothing_lost(&traced);
    }
    let tracing =
        Tracing::start(&[&["argcount", "--comm", WORKER, "udp_sendmsg"], &expressions[..]].concat());
    as_worker(|| pair.send(&[(8, 5)]));
    let (output, said) = tracing.interrupt();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row, ["5", "100.0", "%", &port, "SS_UNCONNECTED", "1", "8"], "{text}{said}");
}

/// A text in an array, one that is pointed to, and what cannot be read.
#[test]
fn argcount_reads_texts_and_says_what_cannot_be_read() {
    let namespace = NetNs::new("texts");
    let _entered = namespace.enter();
    let pair = Pair::new();
    let args = ["__dev_queue_xmit", "skb->dev->name", "skb->next->len"];
    let traced = values(&args, || pair.send(&[(8, 7)]));
    assert_eq!(traced.rows(), rows(&[("\"lo\" unreadable", 7)]));
    let folder = std::env::temp_dir().join(format!("argcount-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let long = "a".repeat(100);
    for name in ["short", long.as_str()] {
        fs::write(folder.join(name), b"text").unwrap();
    }
    let mut files = ["short", long.as_str()].map(|name| File::open(folder.join(name)).unwrap());
    let args = ["vfs_read", "file->f_path.dentry->d_name.name", "count"];
    let traced = values(&args, || {
        for (file, times) in files.iter_mut().zip([2, 3]) {
            (0..times).for_each(|_| assert!(file.read(&mut [0; 4]).unwrap() <= 4));
        }
    });
    fs::remove_dir_all(&folder).unwrap();
    let cut = format!("{:?}... 4", "a".repeat(63));
    assert_eq!(traced.rows(), rows(&[("\"short\" 4", 2), (&cut, 3)]));
}

#[test]
fn argcount_counts_what_is_returned() {
    let mut zero = File::open("/dev/zero").unwrap();
    let mut folder = File::open("/").unwrap();
    let mut work = || {
        for (size, times) in [(100, 9), (5000, 4)] {
            (0..times).for_each(|_| zero.read_exact(&mut vec![0; size]).unwrap());
        }
        // EISDIR.
        (0..3).for_each(|_| assert_eq!(folder.read(&mut [0; 8]).unwrap_err().raw_os_error(), Some(21)));
    };
    for (way, mechanism) in ways(false) {
        let traced = values(&["--attach", way, "vfs_read", "$ret"], &mut work);
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        assert_eq!(traced.rows(), rows(&[("100", 9), ("5000", 4), ("-21", 3)]), "{way}");
        let Accounting { entries, returns, .. } = traced.accounting();
        assert_eq!((*entries, *returns), (None, Some(16)), "{way}");
    }
    for (way, mechanism) in ways(true) {
        let traced = values(&["--attach", way, "vfs_read", "count", "$ret"], &mut work);
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        assert_eq!(traced.rows(), rows(&[("8 -21", 3), ("100 100", 9), ("5000 5000", 4)]), "{way}");
        let traced = values(&["--attach", way, "vfs_read", "count", "--where", "$ret < 0"], &mut work);
        assert_eq!(traced.rows(), rows(&[("8", 3)]), "{way}");
        assert_eq!(traced.accounting().unmatched, Some(13), "{way}");
    }
}

/// A frame goes through a stack of VLANs in one go: calls within calls of the same
/// function, each with the device that it had at its entry, whatever the frame is by
/// its return.
#[test]
fn argcount_joins_calls_within_calls_of_the_same_function() {
    const LEVELS: u16 = 4;
    const FRAMES: u64 = 30;
    let namespace = NetNs::new("joined");
    let _entered = namespace.enter();
    // It would ask for routers, in whatever thread runs when it is time to.
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    let mut links = vec![Link::dummy("v0")];
    for level in 1..=LEVELS {
        links.push(Link::vlan(&format!("v{level}"), &format!("v{}", level - 1), level));
    }
    ip(&["addr", "add", "10.9.0.1/24", "broadcast", "10.9.0.255", "dev", &format!("v{LEVELS}")]);
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    let work = || {
        for _ in 0..FRAMES {
            socket.send_to(b"x", "10.9.0.255:9").unwrap();
        }
    };
    let all: Vec<String> = (0..=LEVELS).map(|level| format!("\"v{level}\" 0: {FRAMES}")).collect();
    for (way, _) in ways(true) {
        let args = ["--attach", way, "__dev_queue_xmit", "skb->dev->name", "$ret"];
        let traced = values(&args, work);
        let seen: u64 = traced.values().iter().map(|one| one.count).sum();
        match way {
            "fentry" => {
                assert_eq!(traced.rows(), all);
                nothing_lost(&traced);
            }
            // Kprobes see as many returns at a time as there are CPUs, or a few more.
            _ => assert!(seen >= FRAMES && traced.rows().len() <= all.len(), "{way}: {:?}", traced.rows()),
        }
    }
    // A function of a module, by the types of the module.
    if Path::new("/sys/kernel/btf/8021q").exists() {
        let traced = values(&["8021q:vlan_dev_hard_start_xmit", "dev->name"], work);
        assert_eq!(traced.rows(), all[1..].iter().map(|row| row.replace(" 0:", ":")).collect::<Vec<_>>());
    } else {
        let (status, said) = refused_trace(&["argcount", "8021q:vlan_dev_hard_start_xmit", "dev->name"]);
        assert!(status == Some(2) && said.contains("there are no types (BTF) for it"), "{said}");
    }
    drop(links);
}

#[test]
fn argcount_takes_what_meets_the_condition() {
    let namespace = NetNs::new("condition");
    let _entered = namespace.enter();
    let pair = Pair::new();
    let port = pair.port;
    for (condition, left) in [
        ("len > 100".to_owned(), &SENT[2..]),
        (format!("len > 10 && sk->__sk_common.skc_dport == {port}"), &SENT[1..]),
        ("!(len >= 0x2c) || len & 0x100 && len < 1000".to_owned(), &[SENT[0], SENT[2]]),
        ("sk->sk_socket->state == SS_UNCONNECTED && len == 44".to_owned(), &SENT[1..2]),
        ("sk->sk_socket->state != SS_UNCONNECTED".to_owned(), &[]),
    ] {
        let traced = values(&["udp_sendmsg", "len", "--where", &condition], || pair.send(&SENT));
        let expected: Vec<String> = left.iter().map(|(size, times)| format!("{size}: {times}")).collect();
        assert_eq!(traced.rows(), expected, "{condition}");
        let counted: u64 = left.iter().map(|(_, times)| times).sum();
        assert_eq!(traced.accounting().unmatched, Some(total() - counted), "{condition}");
        nothing_lost(&traced);
    }
    let traced =
        values(&["__dev_queue_xmit", "skb->len", "--where", "skb->next->len > 1"], || pair.send(&[(8, 7)]));
    assert_eq!((traced.rows(), traced.accounting().undecided), (Vec::new(), Some(7)));
    assert!(traced.said.contains("lost: 7 calls not counted: what --where asks for"), "{}", traced.said);
    // Texts of 8 bytes and more with what is behind them, of an array and of a pointer.
    let devices =
        [("devicenumber1", "10.9.1.1/24", "10.9.1.2:9"), ("devicenumber12", "10.9.2.1/24", "10.9.2.2:9")];
    let _devices = devices.map(|(name, address, _)| {
        let link = Link::dummy(name);
        ip(&["address", "add", address, "dev", name]);
        link
    });
    let sender = UdpSocket::bind("0.0.0.0:0").unwrap();
    for (condition, left) in [
        (r#"skb->dev->name == "devicenumber1""#, 3),
        (r#"skb->dev->name != "devicenumber1""#, 5),
        (r#"skb->dev->name == "lo" || skb->dev->rtnl_link_ops->kind == "dummy""#, 8),
    ] {
        let traced = values(&["__dev_queue_xmit", "skb->len", "--where", condition], || {
            for (device, times) in devices.iter().zip([3, 5]) {
                (0..times).for_each(|_| assert_eq!(sender.send_to(&[0; 18], device.2).unwrap(), 18));
            }
        });
        assert_eq!(traced.rows(), [format!("60: {left}")], "{condition}");
        assert_eq!(traced.accounting().unmatched, Some(8 - left), "{condition}");
    }
}

#[test]
fn argcount_makes_histograms() {
    let namespace = NetNs::new("histogram");
    let _entered = namespace.enter();
    let pair = Pair::new();
    let traced = values(&["udp_sendmsg", "len", "--hist", "--by", "comm"], || pair.send(&SENT));
    let histogram = traced.distribution();
    let sum: u64 = SENT.iter().map(|(size, times)| *size as u64 * times).sum();
    assert_eq!((histogram.count(), histogram.sum()), (total(), sum));
    let median = histogram.percentile(5_000).unwrap();
    assert!(median.low <= 1400 && median.high.unwrap() >= 1400, "{median:?}");
    let mut folder = File::open("/").unwrap();
    let work = || (0..3).for_each(|_| assert!(folder.read(&mut [0; 8]).is_err()));
    let traced = values(&["vfs_read", "$ret", "--hist"], work);
    assert_eq!((traced.distribution().count(), traced.accounting().below_zero), (0, Some(3)));
    assert!(traced.said.contains("3 calls not in a histogram: the value is below 0"), "{}", traced.said);
}

#[test]
fn argcount_keeps_functions_and_commands_apart() {
    let mut zero = File::options().read(true).write(true).open("/dev/zero").unwrap();
    for (way, mechanism) in ways(false) {
        let args = ["--attach", way, "-r", "^vfs_(read|write)$", "count", "--by", "func"];
        let traced = values(&args, || {
            use std::io::Write;
            (0..6).for_each(|_| zero.read_exact(&mut [0; 77]).unwrap());
            (0..4).for_each(|_| assert_eq!(zero.write(&[0; 77]).unwrap(), 77));
        });
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        let functions: Vec<_> = traced.trace().head.functions().map(|found| found.name.clone()).collect();
        let count = |name: &str| {
            let all = traced.values().into_iter();
            let function = |one: &u32| functions[*one as usize] == name;
            all.filter(|one| one.key.function.as_ref().is_some_and(function))
                .map(|one| one.count)
                .sum::<u64>()
        };
        assert_eq!((count("vfs_read"), count("vfs_write")), (6, 4), "{way}");
    }
    let traced = values(&["vfs_read", "count", "--by", "comm"], || zero.read_exact(&mut [0; 77]).unwrap());
    assert_eq!(traced.values()[0].key.comm.as_deref(), Some(WORKER));
}

/// More values than there is room for: each call is counted, or counted as lost.
#[test]
fn argcount_counts_what_it_has_no_room_for() {
    let namespace = NetNs::new("room");
    let _entered = namespace.enter();
    let pair = Pair::new();
    let sizes: Vec<(usize, u64)> = (1..=20).map(|size| (size, 3)).collect();
    let traced = values(&["udp_sendmsg", "len", "--max-values", "8"], || pair.send(&sizes));
    assert_eq!(traced.values().len(), 8);
    assert!(traced.values().iter().all(|one| one.count == 3), "{:?}", traced.rows());
    assert_eq!(traced.accounting().values_lost, Some(12 * 3));
    let said = "lost: 36 calls not counted: the table of values was full (--max-values)";
    assert!(traced.said.contains(said), "{}", traced.said);
}

#[test]
fn argcount_shows_where_an_expression_is_wrong() {
    for (args, says) in [
        (
            &["udp_sendmsg", "lenn"][..],
            "lenn\n       ^ did you mean len?\n       udp_sendmsg(struct sock *sk",
        ),
        (&["udp_sendmsg", "sk->sk_sokket"], "sk->sk_sokket\n           ^ did you mean sk_socket"),
        (&["udp_sendmsg", "len", "--where", "len = 4"], "len = 4\n           ^ =="),
    ] {
        let (status, said) = refused_trace(&[&["argcount"], args].concat());
        assert!(status == Some(2) && said.contains("[bad-expression]") && said.contains(says), "{said}");
    }
}

#[test]
fn argcount_leaves_nothing_attached_when_it_is_killed() {
    use nix::sys::signal::{Signal, kill};
    let functions = || fs::read_to_string("/sys/kernel/tracing/enabled_functions").unwrap();
    let before = functions();
    for (way, _) in ways(true) {
        let tracing = Tracing::start(&["argcount", "--attach", way, "vfs_read", "count", "$ret"]);
        assert_ne!(functions(), before);
        kill(tracing.id(), Signal::SIGKILL).unwrap();
        assert_eq!(tracing.wait().0.status.code(), None);
        wait_until("the kernel has let go of everything", || functions() == before);
    }
}
