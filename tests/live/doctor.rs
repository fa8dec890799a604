//! `hostdiag doctor` on the machine at hand.

use std::process::{Command, Output};

use hostdiag_model::{CheckState, Doctor};

fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hostdiag")).arg("doctor").args(arguments).output().unwrap()
}

#[test]
fn json_agrees_with_the_kernel_about_btf() {
    let output = doctor(&["--format", "json"]);
    let doctor: Doctor = serde_json::from_slice(&output.stdout).unwrap();
    let btf = doctor.checks.iter().find(|check| check.name == "btf").unwrap();
    let there = std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
    assert_eq!(btf.state == CheckState::Ok, there);
    assert_eq!(output.status.code(), Some(if doctor.blocking().next().is_some() { 4 } else { 0 }));
}

#[test]
fn it_says_it_all_on_one_screen_and_nothing_on_stderr() {
    let output = doctor(&[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() <= 50, "more than a screen:\n{text}");
}
