//! Properties of traces that no golden shows.
use std::fs;
use std::process::Command;

use hostdiag_model::Recording;

use crate::root;

#[test]
fn every_trace_is_shown_in_every_format() {
    let folder = root().join("tests/recordings/trace");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let session = fs::read_to_string(root().join(format!("tests/cli/trace-{name}.trycmd"))).unwrap();
        let line = format!("$ hostdiag report tests/recordings/trace/{name}.hd\n");
        assert!(session.contains(&line), "tests/cli/trace-{name}.trycmd lacks: {line}");
        let output = Command::new(env!("CARGO_BIN_EXE_hostdiag"))
            .args(["report", "--format", "json"])
            .arg(&path)
            .output()
            .unwrap();
        let same = |bytes: &[u8]| Recording::read(&mut &*bytes).unwrap();
        assert!(same(&output.stdout) == same(&fs::read(&path).unwrap()), "{name}: another recording");
        seen += 1;
    }
    assert!(seen >= 6);
}

/// Not to the letter: how a graph is drawn is the library's.
#[test]
fn stacks_are_drawn_as_flame_graphs() {
    for (name, frames) in [
        ("paths-stable", ["<title>main (100 calls, 100.00%)</title>", ">Calls of __x64_sys_getpgid<"]),
        ("profile-stable", ["<title>burn_two (", ">Where CPUs were<"]),
        ("waits-stable", ["<title>do_nanosleep (", ">What tasks waited for<"]),
    ] {
        let draw = || {
            let mut hostdiag = Command::new(env!("CARGO_BIN_EXE_hostdiag"));
            let path = root().join(format!("tests/recordings/trace/{name}.hd"));
            let output = hostdiag.args(["report", "--format", "svg"]).arg(path).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{name}");
            String::from_utf8(output.stdout).unwrap()
        };
        let graph = draw();
        assert!(frames.iter().all(|frame| graph.contains(frame)), "{name}: {graph}");
        assert_eq!(draw(), graph, "{name}");
    }
}
