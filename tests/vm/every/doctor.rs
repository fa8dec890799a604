//! `hostdiag doctor` says of each kernel what its role stands for.
use hostdiag_model::{CheckState, Doctor};

use crate::lab::hostdiag;

fn doctor() -> Doctor {
    let output = hostdiag().args(["doctor", "--format", "json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}; doctor said: {said}"))
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
