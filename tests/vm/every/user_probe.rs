//! What `probe::user` finds is where the kernel probes: by its path and offset
//! it counts exactly the calls that are made.
use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};

use hostdiag::probe::user::{Wanted, find};
use hostdiag_model::trace::SkipReason;

use crate::lab::{Paths, Tracing, btf, user_ways};

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

/// One that cannot be probed keeps none of the others from it.
#[test]
fn a_function_that_cannot_be_probed_is_left_out_alone() {
    let program = "/lib/hostdiag/stacks";
    for (way, mechanism) in user_ways() {
        let mut paths = Paths::new(&["paths", "1003", "509"]);
        let patterns = [format!("{program}:path_*"), format!("{program}:locked_*")];
        let (pid, [path, locked]) = (paths.pid().to_string(), &patterns);
        let args = [&["funccount", "--format", "json", "-p", &pid, path, locked], way].concat();
        let tracing = Tracing::start(&args);
        paths.run();
        let traced = tracing.record();
        assert_eq!((traced.status, traced.mechanisms()), (Some(0), vec![mechanism]), "{}", traced.said);
        assert_eq!((traced.calls("path_left"), traced.calls("path_right")), (1512, 509));
        let skipped: Vec<_> =
            traced.trace().head.skipped.iter().map(|one| (one.name.as_str(), &one.reason)).collect();
        let refused = SkipReason::Refused("Operation not supported".into());
        assert_eq!(skipped, [("locked_add", &refused)]);
    }
}

#[test]
fn why_functions_of_a_program_are_attached_one_by_one_is_said() {
    let args = ["funccount", "-d", "10ms", "/lib/hostdiag/stacks:path_*"];
    let (output, said) = Tracing::start(&args).wait();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let reason = match btf("bpf_uprobe_multi_link") {
        true => "(uprobe.multi: all in one go)",
        false => "(uprobe: this kernel has no uprobe.multi)",
    };
    assert!(said.contains(reason), "{said}");
}
