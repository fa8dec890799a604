//! `hostdiag funclatency` times every call by its own start, by every mechanism
//! this kernel has.
use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use hostdiag_model::trace::{Accounting, Group, Latency};
use nix::sys::signal::{Signal, kill};
use nix::unistd::gettid;

use crate::lab::latency::{between, complete, record, time};
use crate::lab::{Link, NetNs, Traced, Tracing, call_getpgid, hostdiag, ip, refused_trace, wait_until};

/// The system call's function, which a sleeping thread is in.
const SLEEP: &str = "__x64_sys_clock_nanosleep";

/// Whether the kernel's types have this name.
fn btf(name: &str) -> bool {
    let btf = fs::read("/sys/kernel/btf/vmlinux").unwrap();
    String::from_utf8_lossy(&btf).contains(&format!("\0{name}\0"))
}

fn ways() -> Vec<(&'static str, &'static str)> {
    let mut ways = vec![("fentry", "fentry"), ("kprobe", "kprobe")];
    if btf("bpf_kprobe_multi_link") {
        ways.extend([("multi", "kprobe.multi"), ("session", "kprobe.session")]);
    }
    ways
}

/// Sleeps so long, and takes the time; both in ns.
fn slept(micros: u64) -> (u64, u64) {
    let start = Instant::now();
    sleep(Duration::from_micros(micros));
    (micros * 1000, start.elapsed().as_nanos() as u64)
}

#[test]
fn funclatency_times_every_call_between_request_and_clock() {
    for (way, mechanism) in ways() {
        let mut times = Vec::new();
        let traced = time(&["--attach", way, SLEEP], || {
            times = (0..100).map(|call| slept(50 + call * 97)).collect();
        });
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        let (least, most) = times.into_iter().unzip();
        between(&traced.latency(None), least, most);
        complete(&traced);
    }
}

/// A frame goes through a stack of VLANs in one go: each level is a call within
/// the call of the level above, of the same function.
#[test]
fn funclatency_times_calls_within_calls_of_the_same_function() {
    const LEVELS: u16 = 6;
    const FRAMES: u64 = 50;
    let namespace = NetNs::new("nested");
    let _entered = namespace.enter();
    let mut links = vec![Link::dummy("v0")];
    for level in 1..=LEVELS {
        links.push(Link::vlan(&format!("v{level}"), &format!("v{}", level - 1), level));
    }
    ip(&["addr", "add", "10.9.0.1/24", "broadcast", "10.9.0.255", "dev", &format!("v{LEVELS}")]);
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    let known = Path::new("/sys/kernel/btf/8021q").exists();
    for (way, _) in ways() {
        // A function of a module, which fentry reaches where the kernel has its types.
        let (function, calls) = match way {
            "fentry" if !known => ("__dev_queue_xmit", u64::from(LEVELS) + 1),
            _ => ("8021q:vlan_dev_hard_start_xmit", u64::from(LEVELS)),
        };
        let mut took = 0;
        let traced = time(&["--attach", way, function], || {
            let start = Instant::now();
            for _ in 0..FRAMES {
                socket.send_to(b"x", "10.9.0.255:9").unwrap();
            }
            took = start.elapsed().as_nanos() as u64;
        });
        let (histogram, accounting) = (traced.latency(None), traced.accounting());
        let count = histogram.count();
        assert!(histogram.sum() <= took * calls, "{way}: no level is longer than all of it");
        if way == "fentry" {
            assert_eq!(count, FRAMES * calls);
            complete(&traced);
            let (inner, outer) = (histogram.percentile(100).unwrap(), histogram.percentile(9_900).unwrap());
            assert!(outer.high.unwrap() >= inner.low * 2, "outer calls are longer: {histogram:?}");
            continue;
        }
        // Kprobes see as many returns at a time as there are CPUs, or a few times that,
        // and fewer than are nested here.
        assert!(count >= FRAMES * 2, "{way}: {accounting:?}");
        match way {
            "session" => assert_eq!(count + accounting.link_missed.unwrap(), FRAMES * calls),
            _ => assert_eq!(accounting.entries, Some(FRAMES * calls), "{way}: {accounting:?}"),
        }
        // What is left of them is found later, or at the end.
        let left = accounting.return_missed.unwrap_or(0) + accounting.in_flight.unwrap_or(0);
        assert_eq!(left == 0, count == FRAMES * calls || way == "session", "{way}: {accounting:?}");
    }
    drop(links);
}

/// The function that threads wait in for a message; nothing else here calls it.
const RECEIVE: &str = "__x64_sys_recvfrom";
/// The number of its system call, asm/unistd_64.h.
const RECVFROM: &str = "45 ";

/// Threads that wait for a message each.
struct Waiting {
    threads: Vec<JoinHandle<()>>,
    sender: UnixDatagram,
}

impl Waiting {
    /// Returns when they all are in the system call.
    fn threads(number: usize) -> Self {
        let (receiver, sender) = UnixDatagram::pair().unwrap();
        let receiver = Arc::new(receiver);
        let (tell, ids) = mpsc::channel();
        let threads = (0..number).map(|_| {
            let (receiver, tell) = (receiver.clone(), tell.clone());
            let wait = move || {
                tell.send(gettid()).unwrap();
                assert_eq!(receiver.recv(&mut [0]).unwrap(), 1);
            };
            Builder::new().stack_size(64 << 10).spawn(wait).unwrap()
        });
        let threads = threads.collect();
        for id in ids.iter().take(number) {
            let waits = || {
                let call = fs::read_to_string(format!("/proc/self/task/{id}/syscall")).unwrap();
                call.starts_with(RECVFROM)
            };
            wait_until("a thread waits", waits);
        }
        Self { threads, sender }
    }

    fn release(self) {
        self.threads.iter().for_each(|_| assert_eq!(self.sender.send(b"x").unwrap(), 1));
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// More calls at a time than there is room for: each that is not timed is counted
/// as just that.
#[test]
fn funclatency_counts_what_it_cannot_time() {
    const THREADS: u64 = 256;
    // The table keeps as many places for later calls as it has for those under way.
    const ROOM: u64 = 2 * 64;
    let process = std::process::id().to_string();
    for (way, _) in ways() {
        let args = ["--attach", way, "--pid", &process, "--max-active", "64", RECEIVE];
        let traced = record(&args, || Waiting::threads(THREADS as usize).release());
        let accounting = traced.accounting();
        let count = |term: Option<u64>| term.unwrap_or(0);
        let (entries, in_flight) = (count(accounting.entries), count(accounting.in_flight));
        let missed = count(accounting.recursion_missed);
        match way {
            // No table, but no more calls at a time than the kernel has frames for.
            "session" => {
                assert_eq!(count(accounting.returns) + count(accounting.link_missed), THREADS);
                continue;
            }
            // A thread can be preempted within the program, which others on that CPU
            // miss then: at the entry, or at the return, which leaves its start where
            // that was not lost.
            "fentry" => {
                let known = entries + missed - in_flight;
                assert!((THREADS..=THREADS + entries - ROOM).contains(&known), "{accounting:?}");
            }
            _ => assert_eq!(entries, THREADS, "{way}: {accounting:?}"),
        }
        assert_eq!(accounting.start_lost, Some(entries - ROOM), "{way}: {accounting:?}");
        let full = format!("lost: {} calls not timed: the table of starts was full", entries - ROOM);
        assert!(traced.said.contains(&full), "{way}: {}", traced.said);
        // Kprobes see few returns at a time; what is left is said to be unsure.
        assert_eq!(count(accounting.returns) + in_flight, ROOM, "{way}: {accounting:?}");
        let unsure = traced.said.contains("or their returns were missed");
        assert_eq!(unsure, in_flight > 0, "{way}: {}", traced.said);
    }
}

/// A call that began before is no call, one that has not returned no duration.
#[test]
fn funclatency_ignores_what_began_before_and_tells_what_is_in_flight() {
    for (way, _) in ways() {
        let (process, before) = (std::process::id().to_string(), Waiting::threads(1));
        let mut after = None;
        let traced = record(&["--attach", way, "--pid", &process, RECEIVE], || {
            before.release();
            after = Some(Waiting::threads(1));
        });
        after.unwrap().release();
        let Accounting { entries, returns, in_flight, .. } = traced.accounting();
        assert_eq!((*entries, *returns), (Some(1), Some(0)), "{way}");
        assert_eq!(*in_flight, (way != "session").then_some(1), "{way}");
        assert_eq!(traced.said.contains("1 call still in flight, not counted"), way != "session");
    }
}

#[test]
fn funclatency_keeps_functions_and_groups_apart() {
    let process = std::process::id();
    let work = || {
        (0..3).for_each(|_| sleep(Duration::from_millis(1)));
        call_getpgid(20);
        let named = Builder::new().name("another".into()).spawn(|| call_getpgid(5));
        named.unwrap().join().unwrap();
    };
    let count = |traced: &Traced, function: Option<&str>, group: Option<Group>| {
        let functions: Vec<_> = traced.trace().head.functions().map(|found| found.name.clone()).collect();
        let of = |latency: &Latency| {
            let name = latency.function.map(|index| functions[index as usize].as_str());
            (function.is_none() || name == function) && (group.is_none() || latency.group == group)
        };
        traced.latencies().iter().filter(|one| of(one)).map(|one| one.histogram.count()).sum::<u64>()
    };
    let pid = process.to_string();
    for (way, _) in ways() {
        let by = |by: &[&str]| {
            record(&[&["--attach", way, "--pid", &pid, SLEEP, "__x64_sys_getpgid"], by].concat(), work)
        };
        let traced = by(&[]);
        assert_eq!(count(&traced, Some(SLEEP), None), 3);
        assert_eq!(count(&traced, Some("__x64_sys_getpgid"), None), 25);
        let traced = by(&["--by", "comm"]);
        assert_eq!(count(&traced, None, Some(Group::Comm("another".into()))), 5);
        assert_eq!(count(&traced, Some("__x64_sys_getpgid"), None), 25);
        let traced = by(&["--by", "pid"]);
        assert_eq!(count(&traced, Some("__x64_sys_getpgid"), Some(Group::Pid(process))), 25);
        let traced = by(&["--by", "cpu"]);
        let cpus = [0, 1].map(|cpu| count(&traced, None, Some(Group::Cpu(cpu))));
        assert_eq!(cpus.iter().sum::<u64>(), 28);
    }
    let text = |args: &[&str]| {
        let tracing =
            Tracing::start(&[&["funclatency", "--pid", &pid, "__x64_sys_getpgid", SLEEP], args].concat());
        work();
        let (output, said) = tracing.interrupt();
        assert_eq!(output.status.code(), Some(0), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (together, apart) = (text(&[]), text(&["-F"]));
    assert!(together.ends_with("n 28\n") && together.starts_with("\n     "), "{together}");
    let titles: Vec<_> = apart.lines().filter(|line| line.starts_with("function ")).collect();
    assert_eq!(titles, [&format!("function {SLEEP}"), "function __x64_sys_getpgid"]);
}

#[test]
fn funclatency_takes_only_the_threads_that_were_asked_for() {
    let counted = |filter: &[&str]| {
        let traced = record(&[&["__x64_sys_getpgid"], filter].concat(), || {
            call_getpgid(100);
            spawn(|| call_getpgid(10)).join().unwrap();
        });
        traced.latency(None).count()
    };
    assert_eq!(counted(&["--tid", &gettid().to_string()]), 100);
    assert_eq!(counted(&["-p", &std::process::id().to_string()]), 110);
    assert_eq!(counted(&["-p", "1"]), 0);
}

/// bcc's layout, on stdout from the first line to the last.
#[test]
fn funclatency_prints_as_bcc_does() {
    let thread = gettid().to_string();
    let mut tracing = hostdiag();
    tracing.args(["funclatency", "--compat", "bcc", "-u", "--duration", "1", "--tid", &thread, SLEEP]);
    let output = tracing.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let first = format!("Tracing 1 functions for \"{SLEEP}\"... Hit Ctrl-C to end.\n");
    // No call, no histogram.
    assert_eq!(text, format!("{first}\nDetaching...\n"));
}

#[test]
fn funclatency_leaves_nothing_attached_when_it_is_killed() {
    let probes = || fs::read_to_string("/sys/kernel/debug/kprobes/list").unwrap();
    let functions = || fs::read_to_string("/sys/kernel/tracing/enabled_functions").unwrap();
    let before = (probes(), functions());
    for (way, _) in ways() {
        let tracing = Tracing::start(&["funclatency", "--attach", way, "__x64_sys_getpgid"]);
        assert_ne!((probes(), functions()), before);
        kill(tracing.id(), Signal::SIGKILL).unwrap();
        let (output, _) = tracing.wait();
        assert_eq!(output.status.code(), None);
        wait_until("the kernel has let go of everything", || (probes(), functions()) == before);
    }
}

#[test]
fn funclatency_explains_what_it_cannot_time() {
    let (status, said) = refused_trace(&["funclatency", "t:sched:sched_switch"]);
    assert!(status == Some(2) && said.contains("[bad-pattern]") && said.contains("funccount"), "{said}");
    if !btf("bpf_session_cookie") {
        let (status, said) = refused_trace(&["funclatency", "--attach", "session", "__x64_sys_getpgid"]);
        assert!(status == Some(4) && said.contains("[no-probes]"), "{said}");
    }
}
