//! `hostdiag stackcount` counts every call by its stack, by every mechanism this
//! kernel has.
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{getpgid, getsid, gettid};

use crate::lab::{Counted, IntoDummy, NetNs, Paths, Traced, Tracing, btf, wait_until, ways};

/// The system call's function, which nothing else calls in such numbers.
const GETPGID: &str = "__x64_sys_getpgid";

/// Counts what a process does, by stacks.
fn count(args: &[&str], work: &[&str]) -> Traced {
    let mut paths = Paths::new(work);
    let pid = paths.pid().to_string();
    let tracing = Tracing::start(&[&["stackcount", "--format", "json", "-p", &pid], args].concat());
    paths.run();
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    traced
}

fn lost(traced: &Traced) -> u64 {
    traced.trace().accounting.as_ref().unwrap().losses().map(|(_, lost)| lost).sum()
}

fn sum(stacks: &[Counted]) -> u64 {
    stacks.iter().map(|stack| stack.count).sum()
}

/// The innermost frames of the process, as many.
fn by_user(stacks: &[Counted], frames: usize) -> BTreeMap<Vec<String>, u64> {
    let mut sums = BTreeMap::new();
    for stack in stacks {
        let user = stack.user.clone().unwrap_or_default();
        *sums.entry(user.into_iter().take(frames).collect()).or_default() += stack.count;
    }
    sums
}

/// What few functions are attached by: where kprobe.multi misses no call unseen that,
/// as there is less to walk from its registers than from a trampoline.
fn auto() -> &'static str {
    let multi = btf("bpf_kprobe_multi_link") && btf("bpf_session_cookie");
    if multi { "kprobe.multi" } else { "fentry" }
}

#[test]
fn stackcount_counts_every_call_by_its_path_by_every_mechanism() {
    for (way, mechanism) in ways() {
        let mechanism = if way == "auto" { auto() } else { mechanism };
        let traced = count(&["--attach", way, GETPGID], &["paths", "1003", "509"]);
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        let stacks = traced.stacks();
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let expected = [
            (names(&["leaf", "path_left", "main"]), 1003),
            (names(&["leaf", "path_left", "path_right"]), 509),
        ];
        assert_eq!(by_user(&stacks, 3), BTreeMap::from(expected), "{way}: {stacks:#?}");
        assert_eq!(lost(&traced), 0, "{way}: {}", traced.said);
        assert_eq!(traced.trace().accounting.as_ref().unwrap().entries, Some(1512));
        for stack in &stacks {
            let kernel = stack.kernel.as_deref().unwrap();
            // The function first, then its callers alone.
            assert_eq!(kernel[0], GETPGID, "{way}: {kernel:?}");
            assert!(kernel[1..].contains(&"do_syscall_64".into()), "{way}: {kernel:?}");
            assert!(kernel.len() <= 4, "{way}: {kernel:?}");
            assert!(!kernel[1..].contains(&GETPGID.into()), "{way}: {kernel:?}");
            assert_eq!(stack.gaps, Vec::<String>::new());
        }
    }
}

/// The ring that stacks come through calls it under its lock: a program that waited for
/// that would never end.
#[test]
fn stackcount_may_trace_what_it_calls_itself() {
    let thread = gettid().to_string();
    let functions = ["vfs_read", "_raw_spin_unlock_irqrestore"];
    let args = ["stackcount", "--attach", "fentry", "--format", "json", "--max-overhead", "100", "--tid"];
    let tracing = Tracing::start(&[&args[..], &[&thread], &functions].concat());
    (0..100).for_each(|_| drop(fs::read("/proc/self/maps").unwrap()));
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    assert_eq!(traced.mechanisms(), ["fentry"], "{}", traced.said);
    let reads =
        traced.stacks().iter().filter(|stack| stack.kernel.as_ref().unwrap()[0] == "vfs_read").count();
    assert!(reads > 0, "{}", traced.said);
}

/// Each CPU has memory of its own to work in, and there each function that is traced by fentry.
#[test]
fn stackcount_counts_on_all_cpus_at_once() {
    const CALLS: u64 = 50_000;
    let go = Arc::new(Barrier::new(3));
    let (said, threads) = mpsc::channel();
    let callers = [0, 1].map(|cpu| {
        let (go, said) = (go.clone(), said.clone());
        thread::spawn(move || {
            let mut own = CpuSet::new();
            own.set(cpu).unwrap();
            sched_setaffinity(gettid(), &own).unwrap();
            said.send(gettid().to_string()).unwrap();
            go.wait();
            for _ in 0..CALLS {
                getpgid(None).unwrap();
                getsid(None).unwrap();
            }
        })
    });
    let threads: Vec<_> = threads.iter().take(2).collect();
    let args = ["stackcount", "--attach", "fentry", "--format", "json", "--max-overhead", "100", "--tid"];
    let tracing = Tracing::start(&[&args[..], &[&threads.join(","), GETPGID, "__x64_sys_getsid"]].concat());
    go.wait();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let traced = tracing.record();
    assert_eq!(traced.mechanisms(), ["fentry"], "{}", traced.said);
    assert_eq!((sum(&traced.stacks()), lost(&traced)), (4 * CALLS, 0), "{}", traced.said);
}

#[test]
fn stackcount_loses_none_of_a_thousand_stacks() {
    let traced = count(&[GETPGID], &["tree", "10", "3"]);
    let stacks = traced.stacks();
    assert_eq!((stacks.len(), lost(&traced)), (1024, 0), "{}", traced.said);
    assert!(stacks.iter().all(|stack| stack.count == 3), "{stacks:#?}");
    assert_eq!(by_user(&stacks, 12).len(), 1024);
}

#[test]
fn stackcount_says_how_many_calls_found_no_room() {
    let traced = count(&["--max-stacks", "16", GETPGID], &["tree", "6", "10"]);
    let stacks = traced.stacks();
    let accounting = traced.trace().accounting.clone().unwrap();
    assert_eq!(stacks.len(), 16, "{stacks:#?}");
    assert_eq!((accounting.entries, sum(&stacks) + lost(&traced)), (Some(640), 640), "{accounting:?}");
    assert_eq!(accounting.stack_lost, Some(lost(&traced)));
    assert!(traced.said.contains("--max-stacks"), "{}", traced.said);
}

#[test]
fn stackcount_says_which_stacks_are_deeper_than_it_walks() {
    let traced = count(&["-U", GETPGID], &["deep", "200"]);
    let stacks = traced.stacks();
    let [stack] = &stacks[..] else { panic!("{stacks:#?}") };
    assert_eq!((stack.user.as_ref().unwrap().len(), stack.kernel.as_ref()), (127, None));
    assert_eq!(stack.gaps, ["no more than 127 frames are walked"]);
    assert_eq!(traced.trace().accounting.as_ref().unwrap().stack_cut, Some(1));
    assert!(traced.said.contains("1 call had a stack deeper"), "{}", traced.said);
}

/// What is needed for names is held as soon as the first stack is seen.
fn wait_until_held(tracing: &Tracing) {
    wait_until("the program is held", || {
        let files = fs::read_dir(format!("/proc/{}/fd", tracing.id())).unwrap().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file.ends_with("hostdiag/stacks"))
    });
}

#[test]
fn stackcount_names_frames_of_a_process_that_has_ended() {
    let mut paths = Paths::new(&["paths", "5", "7"]);
    let pid = paths.pid().to_string();
    let tracing =
        Tracing::start(&["stackcount", "--format", "json", "-U", "-p", &format!("{pid},1"), GETPGID]);
    paths.run();
    wait_until_held(&tracing);
    paths.end();
    let stacks = tracing.record().stacks();
    let users = by_user(&stacks, 2);
    assert_eq!(users, BTreeMap::from([(vec!["leaf".into(), "path_left".into()], 12)]), "{stacks:#?}");
}

/// Both programs lie at the same addresses: none is named by the other's functions.
#[test]
fn stackcount_names_frames_by_the_program_that_the_process_ran_then() {
    let mut paths = Paths::new(&["paths", "5", "7", "/lib/hostdiag/calls", "kernel", "30"]);
    let pid = paths.pid().to_string();
    let tracing =
        Tracing::start(&["stackcount", "--format", "json", "-U", "-p", &format!("{pid},1"), GETPGID]);
    paths.run();
    wait_until_held(&tracing);
    paths.end();
    let mut sums = BTreeMap::new();
    for stack in tracing.record().stacks() {
        let own = stack.user.iter().flatten().any(|name| name == "path_left");
        let ours = stack.user.iter().flatten().any(|name| ["leaf", "path_right"].contains(&name.as_str()));
        assert_eq!(own, ours, "{stack:#?}");
        *sums.entry(own).or_insert(0) += stack.count;
    }
    assert_eq!(sums, BTreeMap::from([(false, 30), (true, 12)]));
}

#[test]
fn stackcount_counts_processes_apart_only_where_asked() {
    let counted = |args: &[&str]| {
        let mut both = [Paths::new(&["paths", "3", "0"]), Paths::new(&["paths", "4", "0"])];
        let pids = both.each_ref().map(Paths::pid);
        let list = format!("{},{}", pids[0], pids[1]);
        let all = [&["stackcount", "--format", "json", "-p", &list, GETPGID], args].concat();
        let tracing = Tracing::start(&all);
        both.iter_mut().for_each(Paths::run);
        (pids, tracing.record().stacks())
    };
    let (pids, stacks) = counted(&["-P", "-K"]);
    let found = |stacks: &[Counted]| {
        let key = |stack: &Counted| (stack.key.pid, stack.key.comm.as_deref().map(String::from), stack.count);
        let mut found: Vec<_> = stacks.iter().map(key).collect();
        found.sort();
        found
    };
    let mut expected = [(Some(pids[0]), Some("stacks".into()), 3), (Some(pids[1]), Some("stacks".into()), 4)];
    expected.sort();
    assert_eq!(found(&stacks), expected);
    assert!(stacks.iter().all(|stack| stack.user.is_none()));
    let (_, stacks) = counted(&["-K"]);
    assert_eq!(found(&stacks), [(None, None, 7)]);
    // Addresses of one process mean nothing in the other, names do.
    let (_, stacks) = counted(&["-U"]);
    assert_eq!(by_user(&stacks, 3).values().copied().collect::<Vec<_>>(), [7]);
}

#[test]
fn stackcount_names_functions_of_modules() {
    let namespace = NetNs::new("stacks");
    let _entered = namespace.enter();
    let dummy = IntoDummy::new();
    let tracing = Tracing::start(&["stackcount", "--format", "json", "-K", "dummy:dummy_xmit"]);
    dummy.send(9);
    let stacks = tracing.record().stacks();
    let ours = |stack: &&Counted| stack.kernel.iter().flatten().any(|name| name == "udp_sendmsg");
    assert_eq!(stacks.iter().filter(ours).map(|stack| stack.count).sum::<u64>(), 9, "{stacks:#?}");
    assert!(stacks.iter().all(|stack| stack.kernel.as_ref().unwrap()[0] == "dummy_xmit"), "{stacks:#?}");
}

#[test]
fn stackcount_prints_as_bcc_does_and_folded() {
    let text = |args: &[&str]| {
        let mut paths = Paths::new(&["paths", "2", "0"]);
        let pid = paths.pid().to_string();
        let tracing = Tracing::start(&[&["stackcount", "-p", &pid, GETPGID], args].concat());
        paths.run();
        let (output, said) = tracing.interrupt();
        assert_eq!(output.status.code(), Some(0), "{said}");
        (pid, String::from_utf8(output.stdout).unwrap())
    };
    let (_, plain) = text(&[]);
    let first = format!("  {GETPGID}\n");
    assert!(plain.starts_with(&first) && plain.ends_with("\n    2\n\n"), "{plain}");
    assert!(plain.contains("  leaf [stacks]\n  path_left [stacks]\n  main [stacks]\n"), "{plain}");
    let (pid, folded) = text(&["-f", "-P", "-d"]);
    assert!(folded.starts_with(&format!("stacks-{pid};")), "{folded}");
    assert!(folded.ends_with(&format!(";{GETPGID} 2\n")), "{folded}");
    assert!(folded.contains(";main;path_left;leaf;-;"), "{folded}");
    let (_, bcc) = text(&["--compat", "bcc", "-T"]);
    let lines: Vec<&str> = bcc.lines().collect();
    assert_eq!((lines[0], lines[1].len(), lines[2]), ("", 8, &first[..first.len() - 1]), "{bcc}");
}
