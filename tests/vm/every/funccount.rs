//! `hostdiag funccount` counts every call, by every mechanism this kernel has.
use std::fs;
use std::path::Path;

use hostdiag_model::trace::{Ended, SkipReason};
use nix::sys::signal::{Signal, kill};
use nix::unistd::gettid;

use crate::lab::{
    IntoDummy, NetNs, Traced, Tracing, btf, call_getpgid, hostdiag, programs, refused_trace, wait_until, ways,
};

/// The system call's function, which nothing else calls.
const GETPGID: &str = "__x64_sys_getpgid";
const CALLS: u64 = 10_007;

/// Counts while `work` runs, only events of this thread.
fn count(args: &[&str], work: impl FnOnce()) -> Traced {
    let thread = gettid().to_string();
    let all = [&["funccount", "--format", "json", "--tid", &thread], args].concat();
    let tracing = Tracing::start(&all);
    work();
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    traced
}

#[test]
fn funccount_counts_every_call_by_every_mechanism() {
    for (way, mechanism) in ways() {
        let traced = count(&["--attach", way, GETPGID], || call_getpgid(CALLS));
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        let accounting = traced.trace().accounting.clone().unwrap();
        let lost: u64 = accounting.losses().map(|(_, lost)| lost).sum();
        assert_eq!(traced.calls(GETPGID) + lost, CALLS, "{way}: {accounting:?}");
        assert_eq!(accounting.entries, Some(traced.calls(GETPGID)));
        assert_eq!(accounting.ended, Ended::Signal);
        // Nothing else runs programs on a kernel that does nothing else.
        assert_eq!(lost, 0, "{way}: {accounting:?}");
    }
}

/// Another program on old kernels than with a filter: one that needs no guard.
#[test]
fn funccount_counts_every_call_without_a_filter() {
    for (way, mechanism) in ways() {
        let tracing = Tracing::start(&["funccount", "--format", "json", "--attach", way, GETPGID]);
        call_getpgid(CALLS);
        let traced = tracing.record();
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        let accounting = traced.trace().accounting.clone().unwrap();
        assert_eq!((traced.calls(GETPGID), accounting.entries), (CALLS, Some(CALLS)), "{way}");
        assert_eq!(accounting.losses().map(|(_, lost)| lost).sum::<u64>(), 0, "{way}: {accounting:?}");
    }
}

/// The programs of both call the helper, to compare the thread: one that kernels
/// before 5.12 would enter again, and again.
#[test]
fn funccount_traces_what_its_own_programs_call() {
    let helper = "bpf_get_current_pid_tgid";
    let traced = count(&["--attach", "fentry", GETPGID, helper], || call_getpgid(CALLS));
    assert_eq!(traced.calls(GETPGID), CALLS, "{}", traced.said);
    let missed = traced.accounting().recursion_missed;
    assert!(missed >= Some(CALLS), "{missed:?}, {} calls of the helper", traced.calls(helper));
}

#[test]
fn funccount_says_what_this_kernel_does_not_count() {
    let accounting =
        |way| count(&["--attach", way, GETPGID], || call_getpgid(1)).trace().accounting.clone().unwrap();
    assert_eq!(accounting("fentry").recursion_missed, Some(0));
    // The kernel that tells what a link missed counts what kprobes leave out.
    let kprobe = accounting("kprobe");
    let tells = matches!(std::env::var("HOSTDIAG_ROLE").unwrap().as_str(), "stable" | "newest");
    assert_eq!((kprobe.link_missed.is_some(), kprobe.recursion_missed.is_some()), (tells, tells));
}

#[test]
fn funccount_counts_several_patterns_and_globs_apart() {
    let patterns = [GETPGID, "__x64_sys_gets[io]*", "--skip", "*getsockopt"];
    for way in ["auto", "kprobe"] {
        let traced = count(&[&["--attach", way], &patterns[..]].concat(), || {
            call_getpgid(11);
            for _ in 0..7 {
                nix::unistd::getsid(None).unwrap();
            }
        });
        assert_eq!(traced.calls(GETPGID), 11);
        assert_eq!(traced.calls("__x64_sys_getsid"), 7);
        assert_eq!(traced.calls("__x64_sys_getsockname"), 0);
        let skipped: Vec<_> =
            traced.trace().head.skipped.iter().map(|one| (one.name.as_str(), &one.reason)).collect();
        assert_eq!(skipped, [("__x64_sys_getsockopt", &SkipReason::Asked)]);
    }
}

/// More kprobes than are attached alone are one event of tracefs.
#[test]
fn funccount_counts_many_kprobes_by_address() {
    let events = || fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap();
    let before = events();
    let args = ["--attach", "kprobe", "__x64_sys_get[a-z]*", "ptep_*"];
    let mut during = String::new();
    let traced = count(&args, || {
        call_getpgid(CALLS);
        during = events();
    });
    assert!(during.matches("hostdiag_").count() > 8, "{during}");
    assert_eq!(traced.calls(GETPGID), CALLS, "{}", traced.said);
    let accounting = traced.trace().accounting.as_ref().unwrap();
    assert_eq!(accounting.link_missed, Some(0), "every kernel counts what an event misses");
    assert_eq!(events(), before, "nothing is left behind");
}

#[test]
fn funccount_removes_what_a_killed_run_left() {
    let events = || fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap();
    let tracing = Tracing::start(&["funccount", "--attach", "kprobe", "__x64_sys_get[a-z]*"]);
    let group = format!("hostdiag_{}/", tracing.id());
    assert!(events().contains(&group));
    kill(tracing.id(), Signal::SIGKILL).unwrap();
    tracing.wait();
    count(&[GETPGID], || {});
    assert!(!events().contains(&group), "{}", events());
}

#[test]
fn funccount_takes_only_what_was_asked_for() {
    // Not ours: other threads, processes, names, CPUs, cgroups.
    let here = fs::read_to_string("/proc/thread-self/comm").unwrap();
    let (process, thread) = (std::process::id().to_string(), gettid().to_string());
    let counted = |filter: &[&str]| {
        let tracing = Tracing::start(&[&["funccount", "--format", "json", GETPGID], filter].concat());
        call_getpgid(100);
        std::thread::spawn(|| call_getpgid(10)).join().unwrap();
        let traced = tracing.record();
        assert_eq!(traced.status, Some(0), "{}", traced.said);
        traced.calls(GETPGID)
    };
    assert_eq!(counted(&["--tid", &thread]), 100);
    assert_eq!(counted(&["--tid", &format!("{thread},1")]), 100);
    assert_eq!(counted(&["--pid", &process]), 110);
    assert_eq!(counted(&["--pid", &format!("1,{process}")]), 110);
    assert_eq!(counted(&["--pid", "1"]), 0);
    assert_eq!(counted(&["--comm", here.trim_end(), "--pid", &process]), 110);
    assert_eq!(counted(&["--comm", "another"]), 0);
    assert_eq!(counted(&["--cgroup", "/", "--pid", &process]), 110);
    assert_eq!(counted(&["--cpu", "0-1", "--pid", &process]), 110);
    assert_eq!(counted(&["--cpu", "4095"]), 0);
}

#[test]
fn funccount_knows_cgroups_and_those_below() {
    let outer = "/sys/fs/cgroup/hostdiag-test";
    let inner = format!("{outer}/inner");
    fs::create_dir_all(&inner).unwrap();
    let enter =
        |group: &str| fs::write(format!("{group}/cgroup.procs"), std::process::id().to_string()).unwrap();
    let counted = |group: &str| {
        let tracing = Tracing::start(&["funccount", "--format", "json", "--cgroup", group, GETPGID]);
        call_getpgid(5);
        tracing.record().calls(GETPGID)
    };
    assert_eq!(counted("hostdiag-test"), 0);
    enter(&inner);
    let inside = [counted("/hostdiag-test"), counted(&inner)];
    enter("/sys/fs/cgroup");
    fs::remove_dir(inner).unwrap();
    fs::remove_dir(outer).unwrap();
    // What it starts belongs to the group too, but calls nothing.
    assert_eq!(inside, [5, 5]);
    let (status, said) = refused_trace(&["funccount", "--cgroup", "/not/there", GETPGID]);
    assert!(status == Some(2) && said.contains("[no-such-cgroup]"), "{said}");
}

#[test]
fn funccount_attaches_to_functions_of_modules() {
    let namespace = NetNs::new("modules");
    let _entered = namespace.enter();
    let dummy = IntoDummy::new();
    let known = Path::new("/sys/kernel/btf/dummy").exists();
    for (way, mechanism) in ways() {
        let mechanism = match way {
            "auto" | "fentry" if known => "fentry",
            "auto" if btf("bpf_kprobe_multi_link") => "kprobe.multi",
            "auto" => "kprobe",
            "fentry" => continue,
            _ => mechanism,
        };
        let traced = count(&["--attach", way, "dummy:dummy_xmit"], || dummy.send(1009));
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        assert_eq!(traced.calls("dummy_xmit"), 1009, "{way}");
        let modules: Vec<_> =
            traced.trace().head.functions().map(|function| function.module.as_deref()).collect();
        assert_eq!(modules, [Some("dummy")]);
    }
    let traced = count(&["dummy:dummy_xmit", "vmlinux:__x64_sys_getpgid"], || {
        dummy.send(5);
        call_getpgid(3);
    });
    assert_eq!((traced.calls(GETPGID), traced.calls("dummy_xmit")), (3, 5));
    // Both in one way, where there is one.
    assert_eq!(traced.mechanisms().contains(&"fentry"), known || !btf("bpf_kprobe_multi_link"));
}

#[test]
fn funccount_finds_every_function_of_a_name() {
    let list = hostdiag().args(["funccount", "--list", "--format", "json", "*"]).output().unwrap();
    let listed = Traced::of((list, String::new()));
    let head = &listed.trace().head;
    let (found, skipped) = (head.functions().count(), head.skipped.len());
    // A kernel has tens of thousands, of which next to none is left out.
    assert!(found > 20_000 && skipped * 50 < found, "{found} found, {skipped} left out");
    let apart = head.functions().filter(|function| function.address.is_some());
    let apart: std::collections::BTreeSet<_> =
        apart.map(|function| (&function.name, function.address)).collect();
    assert!(apart.len() > 50, "duplicates are told apart by address: {apart:?}");
    let reasons: std::collections::BTreeSet<_> = head.skipped.iter().map(|one| &one.reason).collect();
    assert!(reasons.contains(&SkipReason::Denied), "{reasons:?}");
    assert!(!reasons.contains(&SkipReason::NoAddress), "{reasons:?}");
}

#[test]
fn funccount_list_attaches_nothing() {
    let kprobes = || fs::read_to_string("/sys/kernel/debug/kprobes/list").unwrap();
    let before = kprobes();
    let output = hostdiag().args(["funccount", "--list", "--attach", "kprobe", GETPGID]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((text.lines().next(), output.status.code()), (Some("__x64_sys_getpgid  kprobe"), Some(0)));
    assert_eq!(kprobes(), before);
}

#[test]
fn funccount_leaves_nothing_attached_when_it_is_killed() {
    let kprobes = || fs::read_to_string("/sys/kernel/debug/kprobes/list").unwrap();
    let before = (kprobes(), programs());
    let tracing = Tracing::start(&["funccount", "--attach", "kprobe", GETPGID, "__x64_sys_getsid"]);
    assert_eq!(programs().difference(&before.1).count(), 2);
    assert_ne!(kprobes(), before.0);
    kill(tracing.id(), Signal::SIGKILL).unwrap();
    let (output, _) = tracing.wait();
    assert_eq!(output.status.code(), None);
    wait_until("the kernel has let go of everything", || {
        kprobes() == before.0 && programs().is_subset(&before.1)
    });
}

#[test]
fn funccount_prints_all_of_it_on_ctrl_c() {
    let thread = gettid().to_string();
    let tracing = Tracing::start(&["funccount", "--tid", &thread, GETPGID]);
    call_getpgid(12);
    let (output, said) = tracing.interrupt();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(
        text,
        "\nFUNC                                    COUNT\n__x64_sys_getpgid                          12\n"
    );
}

/// Letting go of hundreds of kprobes takes seconds. Who does not want to wait
/// has the result already; definitions without effect stay until the next start.
#[test]
fn funccount_does_not_wait_on_a_second_ctrl_c() {
    let kprobes = || {
        let list = fs::read_to_string("/sys/kernel/debug/kprobes/list").unwrap();
        list.lines().filter(|line| !line.contains("[DISABLED]")).count()
    };
    let before = kprobes();
    let mut tracing = Tracing::start(&["funccount", "--attach", "kprobe", "tcp_[a-e]*"]);
    kill(tracing.id(), Signal::SIGINT).unwrap();
    // The table is there while it detaches.
    let table = tracing.read_until("COUNT\n");
    assert!(table.contains("FUNC"), "{table}");
    assert!(kprobes() > before, "it has not let go yet");
    kill(tracing.id(), Signal::SIGINT).unwrap();
    let (output, said) = tracing.wait();
    assert_eq!(output.status.code(), Some(0), "{said}");
    wait_until("the child has let go of everything", || kprobes() == before);
    count(&[GETPGID], || {});
    let left = fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap();
    assert!(!left.contains("hostdiag_"), "{left}");
}

#[test]
fn funccount_ends_with_the_process_it_watches() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let tracing =
        Tracing::start(&["funccount", "--format", "json", "--pid", &child.id().to_string(), GETPGID]);
    child.kill().unwrap();
    child.wait().unwrap();
    let traced = Traced::of(tracing.wait());
    assert_eq!(traced.trace().accounting.as_ref().unwrap().ended, Ended::Processes);
    assert!(traced.said.contains("what was traced has ended"), "{}", traced.said);
}

#[test]
fn funccount_explains_what_it_cannot_trace() {
    for (args, code, text) in [
        (&["__x64_sys_getpgidd"][..], "no-such-function", "did you mean __x64_sys_getpgid"),
        (&["no_such_prefix_*"], "no-match", "--list"),
        (&["rcu_read_unlock_strict"], "not-trace", ""),
        (&["-p", "4194305", GETPGID], "no-such-process", ""),
        (&["a:b:c:d"], "bad-pattern", ""),
        (&["t:sched:sched_swich"], "no-match", "did you mean t:sched:sched_switch"),
    ] {
        let (status, said) = refused_trace(&[&["funccount"], args].concat());
        let there = said.contains(&format!("[{code}")) || code == "not-trace";
        assert!(status == Some(2) && there && said.contains(text), "{args:?}: {said}");
    }
}
