//! `hostdiag funccount` on functions of programs and libraries: exact, by name,
//! by process.
use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::lab::{Traced, Tracing, refused_trace, wait_until};

/// A shell that calls times(2) of libc exactly so often, once it is told to.
fn shell(calls: usize) -> Child {
    let numbers: Vec<String> = (0..calls).map(|number| number.to_string()).collect();
    let script = format!("read go; for i in {}; do times; done", numbers.join(" "));
    let shell =
        Command::new("dash").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let shell = shell.unwrap();
    let maps = format!("/proc/{}/maps", shell.id());
    wait_until("it has loaded libc", || {
        std::fs::read_to_string(&maps).is_ok_and(|maps| maps.contains("libc"))
    });
    shell
}

fn go(shell: &mut Child) {
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
}

#[test]
fn funccount_of_a_library_counts_the_calls_of_one_process() {
    let (mut one, mut other) = (shell(7), shell(5));
    let pid = one.id().to_string();
    let tracing = Tracing::start(&["funccount", "--format", "json", "-p", &pid, "libc:times"]);
    for shell in [&mut one, &mut other] {
        go(shell);
    }
    assert!(other.wait().unwrap().success() && one.wait().unwrap().success());
    // It ends by itself with the only process that was asked for.
    let traced = Traced::of(tracing.wait());
    assert_eq!((traced.calls("times"), traced.status), (7, Some(0)), "{}", traced.said);
    assert_eq!(traced.mechanisms(), ["uprobe"]);
}

#[test]
fn funccount_names_what_is_near_a_function_of_a_library() {
    let mut shell = shell(0);
    let (status, said) = refused_trace(&["funccount", "-p", &shell.id().to_string(), "libc:mallok"]);
    go(&mut shell);
    shell.wait().unwrap();
    assert_eq!(status, Some(2));
    assert!(said.contains("[no-such-function]") && said.contains("did you mean malloc"), "{said}");
}
