//! A kernel that is locked down, in which nothing else can be tested any more: a
//! run of its own, by its name.
use std::fs;

use nix::unistd::gettid;

use crate::lab::{Traced, Tracing, btf, call_getpgid, hostdiag, refused_trace, run, wait_until};

const GETPGID: &str = "__x64_sys_getpgid";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

fn counted(args: &[&str]) -> u64 {
    let thread = gettid().to_string();
    let tracing = Tracing::start(&[args, &["--format", "json", "--tid", &thread]].concat());
    call_getpgid(1009);
    let traced: Traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    traced.trace().windows.iter().map(|window| window.payload.events()).sum()
}

/// What is refused is said to be because of the lockdown; the rest works.
#[track_caller]
fn refused(args: &[&str], code: &str) {
    let (status, said) = refused_trace(args);
    assert_eq!(status, Some(4), "{args:?}: {said}");
    for part in
        [code, "it is locked down (confidentiality)", "still work", "without lockdown=confidentiality"]
    {
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn locked_down_kernels_refuse_some_and_do_the_rest() {
    run("mount", &["-t", "securityfs", "securityfs", "/sys/kernel/security"]);
    let kprobes = || fs::read_to_string("/sys/kernel/debug/kprobes/list");
    let before = kprobes().unwrap();
    fs::write(LOCKDOWN, "integrity").unwrap();
    for tool in ["funccount", "funclatency", "stackcount"] {
        for way in ["fentry", "kprobe"] {
            assert_eq!(counted(&[tool, "--attach", way, GETPGID]), 1009, "{tool} {way}");
        }
    }
    assert_eq!(counted(&["funccount", "t:syscalls:sys_enter_getpgid"]), 1009);
    wait_until("the kernel has let go of everything", || kprobes().unwrap() == before);

    fs::write(LOCKDOWN, "confidentiality").unwrap();
    let multi = btf("bpf_kprobe_multi_link");
    for tool in ["funccount", "funclatency"] {
        assert_eq!(counted(&[tool, GETPGID]), 1009, "{tool}");
        refused(&[tool, "--attach", "kprobe", GETPGID], "[no-probes]");
        if multi {
            assert_eq!(counted(&[tool, "--attach", "multi", GETPGID]), 1009, "{tool}");
        }
    }
    if !multi {
        refused(&["funccount", "tcp_[a-c]*"], "[no-probes]");
    }
    assert_eq!(counted(&["funccount", "t:syscalls:sys_enter_getpgid"]), 1009);
    // The program of this test has a symbol table.
    let ours = format!("{}:*call_getpgid*", std::env::current_exe().unwrap().display());
    assert_eq!(counted(&["funccount", &ours]), 1);
    assert_eq!(counted(&["funclatency", &ours]), 1);
    refused(&["stackcount", GETPGID], "[no-bpf]");
    refused(&["stackcount", "t:syscalls:sys_enter_getpgid"], "[no-bpf]");

    let doctor = hostdiag().arg("doctor").output().unwrap();
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert!(text.contains("boot without lockdown=confidentiality"), "{text}");
    assert!(!text.contains("mount -t tracefs"), "no remedy that is none: {text}");
}
