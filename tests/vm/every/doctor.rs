//! What `hostdiag doctor` says of each kernel is what its configuration says.
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use hostdiag_model::{CheckState, Doctor};

use crate::lab::{hostdiag, run};

const TRACEFS: &str = "/sys/kernel/tracing";

fn doctor() -> Doctor {
    let output = hostdiag().args(["doctor", "--format", "json"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn works(doctor: &Doctor, name: &str) -> bool {
    let check = doctor.checks.iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("no check {name}")).state == CheckState::Ok
}

fn mount_tracefs() {
    if !Path::new(TRACEFS).join("kprobe_events").exists() {
        run("mount", &["-t", "tracefs", "tracefs", TRACEFS]);
    }
}

#[test]
fn doctor_knows_how_to_attach_on_this_kernel() {
    mount_tracefs();
    let btf = String::from_utf8_lossy(&fs::read("/sys/kernel/btf/vmlinux").unwrap()).into_owned();
    let named = |name: &str| btf.contains(&format!("\0{name}\0"));
    let many = named("bpf_kprobe_multi_link");
    let doctor = doctor();
    for always in ["fentry", "kprobe", "tracepoint", "raw-tracepoint", "bpf-iterator", "function-probes"] {
        assert!(works(&doctor, always), "{always}");
    }
    assert_eq!(works(&doctor, "kprobe.multi"), many);
    assert_eq!(works(&doctor, "kprobe.session"), many && named("BPF_TRACE_KPROBE_SESSION"));
    assert_eq!(works(&doctor, "uprobe.multi"), named("bpf_uprobe_multi_link"));
    assert_eq!(works(&doctor, "recursion"), named("recursion_misses"));
}

#[test]
fn doctor_removes_what_a_killed_run_left_and_nothing_else() {
    mount_tracefs();
    let file = Path::new(TRACEFS).join("kprobe_events");
    let write =
        |line: String| OpenOptions::new().append(true).open(&file).unwrap().write_all(line.as_bytes());
    let living = format!("hostdiag_{}/of_a_living_process", std::process::id());
    // Beyond PID_MAX_LIMIT, so no process has it.
    for event in ["hostdiag_4194305/of_a_dead_process", "others/event", &living] {
        write(format!("p:{event} do_exit\n")).unwrap();
    }
    let doctor = doctor();
    let left = fs::read_to_string(&file).unwrap();
    for event in ["others/event", &living] {
        write(format!("-:{event}\n")).unwrap();
    }
    assert_eq!(doctor.leftovers, ["kprobe event hostdiag_4194305/of_a_dead_process: removed"]);
    assert!(!left.contains("hostdiag_4194305"), "{left}");
    assert!(left.contains("others/event") && left.contains(&living), "{left}");
}

#[test]
fn doctor_agrees_with_the_role() {
    let doctor = doctor();
    let state = |name: &str| match doctor.checks.iter().find(|check| check.name == name) {
        Some(check) => check.state,
        None => panic!("no check {name}: {doctor:#?}"),
    };
    let role = std::env::var("HOSTDIAG_ROLE").unwrap();
    let multi = matches!(role.as_str(), "stable" | "newest");
    let expected = if multi { CheckState::Ok } else { CheckState::Missing };
    for name in ["kprobe.multi", "kprobe.session"] {
        assert_eq!(state(name), expected, "{name}: {doctor:#?}");
    }
    for name in ["machine", "rtnetlink", "features-api", "btf", "fentry", "kprobe", "bpf-iterator", "tracefs"]
    {
        assert_eq!(state(name), CheckState::Ok, "{name}: {doctor:#?}");
    }
}

#[test]
fn doctor_leaves_nothing_attached() {
    let programs = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = (programs(), std::fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap());
    doctor();
    assert_eq!((programs(), std::fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap()), before);
}
