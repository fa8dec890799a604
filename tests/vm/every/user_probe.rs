//! What `probe::user` finds is where the kernel probes: by its path and offset
//! it counts exactly the calls that are made.
use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};

use hostdiag::probe::user::{Wanted, find};

const TRACEFS: &str = "/sys/kernel/tracing";

/// A uprobe of tracefs, taken away again.
struct Uprobe;

impl Uprobe {
    fn new(place: &str) -> Self {
        tell("uprobe_events", &format!("p:lab/calls {place}"));
        tell("events/lab/calls/enable", "1");
        Self
    }

    /// How often it was hit: the last word of its line, and there is no other.
    fn hits(&self) -> u64 {
        let text = fs::read_to_string(format!("{TRACEFS}/uprobe_profile")).unwrap();
        text.split_whitespace().last().unwrap().parse().unwrap()
    }
}

impl Drop for Uprobe {
    fn drop(&mut self) {
        tell("events/lab/calls/enable", "0");
        tell("uprobe_events", "-:lab/calls");
    }
}

fn tell(file: &str, line: &str) {
    let mut file = File::options().append(true).open(format!("{TRACEFS}/{file}")).unwrap();
    // In one piece, or the kernel reads two commands.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn a_function_of_a_library_is_probed_by_its_offset() {
    let mut shell = Command::new("dash");
    // Each `times` of the shell is one call of times(2) in libc.
    let shell = shell.args(["-c", "read go; for i in 1 2 3 4 5 6 7; do times; done"]);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let libc = || {
        find(&Wanted {
            file: "c",
            pattern: "times",
            is_wanted: &|name| name == "times",
            pid: Some(shell.id()),
        })
    };
    crate::lab::wait_until("it has loaded libc", || libc().is_ok());
    let target = libc().unwrap();
    let place = format!("{}:{:#x}", target.attach_path().display(), target.functions[0].offset);
    let probe = Uprobe::new(&place);
    assert_eq!(probe.hits(), 0);
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(shell.wait().unwrap().success());
    assert_eq!(probe.hits(), 7);
}
