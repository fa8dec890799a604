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
    assert!(seen >= 4);
}
