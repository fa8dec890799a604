//! Properties of traces and snapshots that no golden shows.
use std::fs;
use std::process::Command;

use hostdiag_model::Recording;

use crate::root;

#[test]
fn every_trace_and_snapshot_is_shown_in_every_format() {
    let seen = ["trace", "snapshot"].map(shown_in_every_format);
    assert!(seen[0] >= 6 && seen[1] >= 2, "{seen:?}");
}

/// How many recordings of a kind there are.
fn shown_in_every_format(kind: &str) -> usize {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("tests/recordings").join(kind)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let session = fs::read_to_string(root().join(format!("tests/cli/{kind}-{name}.trycmd"))).unwrap();
        let line = format!("$ hostdiag report tests/recordings/{kind}/{name}.hd\n");
        assert!(session.contains(&line), "tests/cli/{kind}-{name}.trycmd lacks: {line}");
        let output = Command::new(env!("CARGO_BIN_EXE_hostdiag"))
            .args(["report", "--format", "json"])
            .arg(&path)
            .output()
            .unwrap();
        let same = |bytes: &[u8]| Recording::read(&mut &*bytes).unwrap();
        assert!(same(&output.stdout) == same(&fs::read(&path).unwrap()), "{name}: another recording");
        seen += 1;
    }
    seen
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
