//! Tracepoints, which kernels without kprobes have too.
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use crate::lab::{Tracing, call_getpgid};

const TRACEFS: &str = "/sys/kernel/tracing";
const EVENT: &str = "t:syscalls:sys_enter_getpgid";

/// Runs a test where tracefs is mounted, if need be for it alone, on a thread of
/// its own: the mount ends with it.
#[track_caller]
fn with_tracefs(test: impl FnOnce() + Send + 'static) {
    let result = thread::spawn(move || {
        let nothing = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).expect("failed to unshare the mounts (root is needed)");
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        if !Path::new(TRACEFS).join("events").exists() {
            mount(nothing, TRACEFS, Some("tracefs"), MsFlags::empty(), nothing).unwrap();
        }
        test();
    })
    .join();
    assert!(result.is_ok(), "see above");
}

#[test]
fn tracepoints_are_counted_by_stack() {
    with_tracefs(|| {
        let thread = gettid().to_string();
        let options = ["stackcount", "--format", "json", "-P", "--tid", &thread, EVENT];
        let tracing = Tracing::start(&options);
        call_getpgid(1009);
        let traced = tracing.record();
        let stacks = traced.stacks();
        assert_eq!(stacks.iter().map(|stack| stack.count).sum::<u64>(), 1009, "{stacks:#?}\n{}", traced.said);
        assert_eq!(traced.mechanisms(), ["tracepoint"]);
        for stack in stacks {
            let (kernel, user) = (stack.kernel.unwrap(), stack.user.unwrap());
            // Older kernels have no stack of their own for these events.
            let nothing = kernel.is_empty() && stack.gaps == ["could not be walked"];
            assert!(kernel.contains(&"do_syscall_64".into()) || nothing, "{kernel:?} {:?}", stack.gaps);
            // The C library, which is in the program, makes the call. The function
            // has both names.
            let caller = user.first().map_or("", String::as_str);
            assert!(["getpgid", "__getpgid"].contains(&caller), "{user:?}");
            assert_eq!(stack.key.pid, Some(std::process::id()));
        }
    });
}

/// Also where nothing is kept.
#[test]
fn tracepoints_are_printed_with_the_places_that_are_asked_for() {
    with_tracefs(|| {
        let thread = gettid().to_string();
        let tracing = Tracing::start(&["stackcount", "-s", "-v", "-U", "--tid", &thread, EVENT]);
        call_getpgid(10);
        let (output, said) = tracing.interrupt();
        let printed = String::from_utf8(output.stdout).unwrap();
        let frame = printed.lines().find(|line| line.contains("+0x")).unwrap_or_default();
        let address = frame.split_whitespace().next().and_then(|word| u64::from_str_radix(word, 16).ok());
        assert!(address > Some(0), "{printed}{said}");
    });
}
