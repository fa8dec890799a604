//! Flame graphs of every kind of input.
use std::io::Write;
use std::process::{Command, Stdio};

use crate::root;

fn hostdiag(args: &[&str], input: &str) -> std::process::Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostdiag"))
        .args(args)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn graph(args: &[&str], input: &str) -> String {
    let output = hostdiag(&[&["flamegraph"], args].concat(), input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_kind_of_stacks_is_drawn() {
    let jessie = "reports/src/trace/golden/push-one-jessie.txt";
    let recording = graph(&["tests/recordings/trace/push-stable.hd"], "");
    assert!(recording.contains("<title>tcp_push_one (717 samples, 100.00%)</title>"));
    assert!(graph(&[jessie], "").contains("<title>inet_sendpage (4,950 samples, 99.98%)</title>"));
    let script =
        "java 1714 [003] 4909.110009: 1 cycles:\n\tffffffff814ee977 tcp_push_one+0x10 ([kernel])\n\n";
    assert!(graph(&["-"], script).contains("<title>tcp_push_one (1 samples, 100.00%)</title>"));
    // Several files are one graph.
    let both = graph(&[jessie, "-"], "a;b 49\n");
    assert!(both.contains("<title>b (49 samples, 0.98%)</title>") && both.contains("inet_sendpage (4,950"));
}

#[test]
fn filters_leave_the_rest_out() {
    let stacks = "main;read;a 5\nmain;write;b 7\nmain;write;c 9\n";
    let kept = graph(&["--include", "wri*", "--exclude", "c", "--title", "<t>", "-"], stacks);
    assert!(kept.contains("<title>b (7 samples, 100.00%)</title>") && kept.contains("&lt;t&gt;"));
    assert!(!kept.contains("<title>read") && !kept.contains("<title>c "));
    assert_ne!(graph(&["--icicle", "-"], stacks), graph(&["-"], stacks));
    assert!(graph(&["--reverse", "-"], stacks).contains("<title>b (7 samples, 33.33%)</title>"));
}

#[test]
fn a_difference_is_drawn_to_the_same_bytes() {
    let [a, b] = ["jessie", "stretch"].map(|host| format!("reports/src/trace/golden/push-one-{host}.txt"));
    let draw = || hostdiag(&["diff", "--format", "svg", &a, &b], "").stdout;
    let drawn = String::from_utf8(draw()).unwrap();
    assert!(
        drawn.contains("class=\"f u4 x\"><title>sock_no_sendpage on B: A 0, B 735k, +735k (new)</title>")
    );
    assert!(drawn.contains("class=\"f d4 x\"><title>tcp_push_one on A: A 4.95k, B 0, -4.95k (gone)</title>"));
    assert_eq!(draw(), drawn.as_bytes());
}
