//! Properties that no golden shows.
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use hostdiag_model::Recording;

use crate::root;

/// What reads a recording.
const COMMANDS: [&str; 5] = ["", " --notes --all", " --matrix", " --format ethtool", " --strict"];

fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let files = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

#[test]
fn every_recording_has_a_session_with_every_command() {
    let recordings = names("tests/recordings", ".hd");
    assert!(recordings.len() >= 8);
    for name in recordings {
        let session = fs::read_to_string(root().join(format!("tests/cli/{name}.trycmd"))).unwrap();
        for command in COMMANDS {
            let line = format!("$ hostdiag offload --from tests/recordings/{name}.hd{command}\n");
            assert!(session.contains(&line), "tests/cli/{name}.trycmd lacks: {line}");
        }
    }
}

#[test]
fn json_of_a_recording_is_that_recording() {
    for name in names("tests/recordings", ".hd") {
        let path = root().join(format!("tests/recordings/{name}.hd"));
        let output = Command::new(env!("CARGO_BIN_EXE_hostdiag"))
            .args(["offload", "--format", "json", "--from"])
            .arg(&path)
            .output()
            .unwrap();
        let same = |bytes: &[u8]| Recording::read(&mut &*bytes).unwrap();
        assert!(
            same(&output.stdout) == same(&fs::read(&path).unwrap()),
            "{name}: judged otherwise than when recorded"
        );
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostdiag"))
        .args(["offload", "--matrix", "--all", "--from"])
        .arg(root().join("tests/recordings/many-stable.hd"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
