//! `hostdiag funccount` on the machine at hand: tracepoints work on every kernel.
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hostdiag_model::trace::Ended;
use nix::sys::signal::{Signal, kill};
use nix::unistd::gettid;

use crate::lab::{
    Traced, Tracing, Unprivileged, call_getpgid, hostdiag, private_tracefs, refused_trace, wait_until,
};

const GETPGID: &str = "t:syscalls:sys_enter_getpgid";
const EVENT: &str = "syscalls:sys_enter_getpgid";

/// Arguments that count this thread's calls.
fn mine<'a>(thread: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["funccount", "--tid", thread], more].concat()
}

#[test]
fn funccount_counts_tracepoints_exactly() {
    private_tracefs();
    let thread = gettid().to_string();
    let tracing = Tracing::start(&mine(
        &thread,
        &["--format", "json", "-i", "500ms", GETPGID, "t:syscalls:sys_*_getsid"],
    ));
    call_getpgid(100_003);
    nix::unistd::getsid(None).unwrap();
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0));
    assert_eq!(traced.calls(EVENT), 100_003, "{}", traced.said);
    assert_eq!((traced.calls("syscalls:sys_enter_getsid"), traced.calls("syscalls:sys_exit_getsid")), (1, 1));
    assert_eq!(traced.mechanisms(), ["tracepoint"]);
}

/// Each takes three files; the limit of a shell is soon reached.
#[test]
fn funccount_raises_the_limit_of_open_files() {
    private_tracefs();
    let program = hostdiag();
    let script = "ulimit -S -n 64; exec \"$0\" funccount -d 1ms --format json 't:syscalls:sys_enter_get*'";
    let output = Command::new("sh").args(["-c", script]).arg(program.get_program()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let traced = Traced::of((output, said));
    assert!(traced.trace().head.functions().count() > 20, "{}", traced.said);
    assert_eq!(traced.trace().head.skipped, [], "{}", traced.said);
}

#[test]
fn funccount_prints_what_it_keeps() {
    let counts = printed(&["-T", "-i", "200ms"], Duration::from_millis(150));
    assert!(counts.len() > 1 && counts.iter().sum::<u64>() == 5000, "{counts:?}");
}

/// Counts are taken each second all the same.
#[test]
fn funccount_prints_one_table_where_no_interval_is_asked_for() {
    assert_eq!(printed(&[], Duration::from_millis(450)), [5000]);
}

/// How many of 5,000 calls each printed table has; a report of the recording is the same.
fn printed(args: &[&str], between: Duration) -> Vec<u64> {
    private_tracefs();
    let thread = gettid().to_string();
    let file = std::env::temp_dir().join(format!("hostdiag-funccount-{thread}.hd"));
    let path = file.to_str().unwrap();
    let tracing = Tracing::start(&mine(&thread, &[args, &["--output", path, GETPGID]].concat()));
    for _ in 0..5 {
        call_getpgid(1000);
        std::thread::sleep(between);
    }
    let (output, said) = tracing.interrupt();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = hostdiag().args(["report", path]).output().unwrap();
    fs::remove_file(&file).unwrap();
    let [printed, again] = [output.stdout, report.stdout].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(again, printed);
    printed.lines().filter_map(|line| line.strip_prefix(EVENT)?.trim().parse::<u64>().ok()).collect()
}

/// What it had when it was killed is kept, and said to be cut off.
#[test]
fn funccount_keeps_what_it_has_as_it_goes_on() {
    private_tracefs();
    let thread = gettid().to_string();
    let file = std::env::temp_dir().join(format!("hostdiag-killed-{thread}.hd"));
    let args =
        mine(&thread, &["-i", "100ms", "--format", "json", "--output", file.to_str().unwrap(), GETPGID]);
    let tracing = Tracing::start(&args);
    let report = || {
        let output = hostdiag().arg("report").arg(&file).output().unwrap();
        let [counts, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        let counts = counts.lines().filter_map(|line| line.strip_prefix(EVENT)?.trim().parse::<u64>().ok());
        (counts.sum::<u64>(), output.status.code(), said)
    };
    call_getpgid(1000);
    wait_until("all calls are in the file", || report().0 == 1000);
    kill(tracing.id(), Signal::SIGKILL).unwrap();
    let (output, _) = tracing.wait();
    let (counts, status, said) = report();
    fs::remove_file(&file).unwrap();
    assert_eq!((counts, status), (1000, Some(0)), "{said}");
    assert!(said.contains("the recording was cut off"), "{said}");
    // stdout had the same.
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("\"window\"") && !printed.contains("\"end\""), "{printed}");
}

#[test]
fn funccount_says_when_the_recording_cannot_be_kept() {
    private_tracefs();
    let tracing = Tracing::start(&["funccount", "-d", "10ms", "--output", "/dev/full", GETPGID]);
    let (output, said) = tracing.wait();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error: failed to write /dev/full"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("FUNC"), "the result is printed all the same");
}

#[test]
fn funccount_ends_well_when_nobody_reads_it() {
    private_tracefs();
    let mut child = hostdiag()
        .args(["funccount", "-i", "10ms", GETPGID])
        .stdout(Stdio::piped())
        .stderr(File::create("/dev/null").unwrap())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn funccount_detaches_when_it_costs_too_much() {
    private_tracefs();
    let going = AtomicBool::new(true);
    let traced = std::thread::scope(|scope| {
        scope.spawn(|| {
            while going.load(Ordering::Relaxed) {
                call_getpgid(1000);
            }
        });
        let args = ["funccount", "--max-overhead", "0", "--bpf-stats", "--format", "json", GETPGID];
        let ended = Traced::of(Tracing::start(&args).wait());
        going.store(false, Ordering::Relaxed);
        ended
    });
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    assert_eq!(traced.trace().accounting.as_ref().unwrap().ended, Ended::Overhead);
    let overhead = traced.trace().overhead.unwrap();
    assert!(overhead.runs > 0 && overhead.share_ppm() > 0, "{overhead:?}");
    assert!(traced.said.contains("--max-overhead"), "{}", traced.said);
}

#[test]
fn funccount_needs_privileges() {
    let output = Unprivileged::new().command().args(["funccount", "-d", "10ms", "do_exit"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("[no-privilege]") && said.contains("sudo"), "{said}");
}

/// Whether functions can be attached to is the kernel's; what is said of it is ours.
#[test]
fn funccount_attaches_to_functions_or_says_what_still_works() {
    let fentry = hostdiag::probe::doctor::attempt(hostdiag_model::trace::Mechanism::Fentry);
    let kprobe = hostdiag::probe::doctor::attempt(hostdiag_model::trace::Mechanism::Kprobe);
    let works = [fentry, kprobe].contains(&hostdiag::kernel::facts::Attempt::Works);
    if works {
        let traced =
            Traced::of(Tracing::start(&["funccount", "-d", "10ms", "--format", "json", "do_exit"]).wait());
        assert_eq!(traced.status, Some(0), "{}", traced.said);
    } else {
        let (status, said) = refused_trace(&["funccount", "do_exit"]);
        assert_eq!(status, Some(4), "{said}");
        assert!(said.contains("[no-probes]") && said.contains("t:category:event"), "{said}");
    }
}

#[inline(never)]
fn function_of_ours(number: u64) -> u64 {
    std::hint::black_box(number)
}

/// Functions of a program: in one process, and in all of them.
#[test]
fn funccount_counts_user_functions_exactly() {
    let exe = std::env::current_exe().unwrap();
    let pattern = format!("{}:*function_of_ours*", exe.display());
    let (process, thread) = (std::process::id().to_string(), gettid().to_string());
    for only in [&["--pid", &process][..], &["--tid", &thread]] {
        let args = [&["funccount", "--format", "json", &pattern], only].concat();
        let tracing = Tracing::start(&args);
        (0..1009).for_each(|number| assert_eq!(function_of_ours(number), number));
        let traced = tracing.record();
        assert_eq!((traced.status, traced.mechanisms()), (Some(0), vec!["uprobe"]), "{}", traced.said);
        let functions: Vec<_> = traced.trace().head.functions().collect();
        assert_eq!(functions.len(), 1, "{functions:?}");
        assert_eq!(traced.calls(&functions[0].name), 1009);
    }
}
