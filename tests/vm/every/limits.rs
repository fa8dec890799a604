//! What happens to a trace of functions of the kernel when what they belong to goes
//! away.
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use hostdiag_model::trace::Gone;

use crate::lab::{Traced, Tracing, btf, call_getpgid, run, wait_until};

const GETPGID: &str = "vmlinux:__x64_sys_getpgid";
const MODULE: &str = "geneve";

fn loaded() -> bool {
    fs::exists(format!("/sys/module/{MODULE}")).unwrap()
}

fn kprobes() -> String {
    fs::read_to_string("/sys/kernel/debug/kprobes/list").unwrap()
}

/// Traces a module while it is unloaded; whether it was.
#[track_caller]
fn unloaded(tool: &[&str], patterns: &[&str]) -> bool {
    run("modprobe", &[MODULE]);
    let before = kprobes();
    let process = std::process::id().to_string();
    let tracing = Tracing::start(&[tool, &["--format", "json", "-p", &process], patterns].concat());
    call_getpgid(5);
    // It waits for nobody: a module in use stays.
    let rmmod = Command::new("rmmod").arg(MODULE).output().unwrap();
    assert_eq!(rmmod.status.success(), !loaded(), "{rmmod:?}");
    let gone = !loaded();
    call_getpgid(6);
    let traced: Traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    let calls: u64 = traced.trace().windows.iter().map(|window| window.payload.events()).sum();
    assert_eq!(calls, 11, "{tool:?}: {}", traced.said);
    let expected = if gone { vec![Gone::Module(MODULE.into())] } else { vec![] };
    assert_eq!(traced.accounting().gone, expected, "{tool:?}");
    let note = format!("module {MODULE} was unloaded meanwhile: its functions were traced until then");
    assert_eq!(traced.said.contains(&note), gone, "{tool:?}: {}", traced.said);
    wait_until("the kernel has let go of everything", || gone || kprobes() == before);
    // Now that nothing holds it.
    if !gone {
        run("rmmod", &[MODULE]);
    }
    gone
}

#[test]
fn limits_a_module_goes_or_stays_while_it_is_traced() {
    let functions = [GETPGID, "geneve:geneve_xmit"];
    run("modprobe", &[MODULE]);
    let known = fs::exists(format!("/sys/kernel/btf/{MODULE}")).unwrap();
    for tool in ["funccount", "funclatency", "stackcount"] {
        if known {
            assert!(!unloaded(&[tool, "--attach", "fentry"], &functions), "a trampoline holds it");
        }
        assert!(unloaded(&[tool, "--attach", "kprobe"], &functions), "kprobes hold no module");
        if btf("bpf_kprobe_multi_link") {
            assert!(!unloaded(&[tool, "--attach", "multi"], &functions), "the kernel holds it");
        }
    }
    if btf("bpf_kprobe_multi_link") {
        assert!(!unloaded(&["funclatency", "--attach", "session"], &functions));
    }
    // As one event.
    assert!(unloaded(&["funccount", "--attach", "kprobe"], &[GETPGID, "geneve:geneve_*"]));
}

/// Probes of a program are in it once the process has begun it.
#[test]
fn limits_probes_of_a_program_that_a_process_begins_later() {
    const STACKS: &str = "/lib/hostdiag/stacks";
    let mut command = Command::new("dash");
    command.args(["-c", &format!("read go; times; times; times; exec {STACKS} paths 4 3")]);
    let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let maps = format!("/proc/{}/maps", shell.id());
    wait_until("it has loaded libc", || fs::read_to_string(&maps).unwrap().contains("libc"));
    let (pid, leaf) = (shell.id().to_string(), format!("{STACKS}:leaf"));
    let tracing = Tracing::start(&["funccount", "--format", "json", "-p", &pid, "c:times", &leaf]);
    shell.stdin.take().unwrap().write_all(b"go\ngo\n").unwrap();
    let traced = Traced::of(tracing.wait());
    assert!(shell.wait().unwrap().success());
    assert_eq!((traced.calls("times"), traced.calls("leaf")), (3, 7), "{}", traced.said);
}
