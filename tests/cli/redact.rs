//! Nothing of whose a recording is stays in one that was redacted, in any format.
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hostdiag_model::recording::Data;
use hostdiag_model::trace::{Payload, Value};
use hostdiag_model::{OffloadData, Recording};

use crate::root;

fn recordings() -> Vec<PathBuf> {
    let in_folder =
        |folder: &str| fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let all = in_folder("tests/recordings").chain(in_folder("tests/recordings/trace"));
    all.filter(|path| path.extension().is_some_and(|end| end == "hd")).collect()
}

fn hostdiag(args: &[&str], path: &PathBuf) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_hostdiag")).args(args).arg(path).output().unwrap()
}

/// What nobody is to read any more.
fn secrets(recording: &Recording) -> BTreeSet<String> {
    let mut found = BTreeSet::from([recording.host.name.clone()]);
    match &recording.data {
        Data::Offload(data, _) => found.extend(of_devices(data)),
        Data::Trace(trace) => {
            for window in trace.windows.iter() {
                let Payload::Values(counts) = &window.payload else { continue };
                let values = counts.iter().flat_map(|count| &count.key.values);
                found.extend(values.filter_map(|value| match value {
                    Value::Text(text) if text.len() > 2 => Some(text.clone()),
                    _ => None,
                }));
            }
        }
        _ => {}
    }
    found
}

fn of_devices(data: &OffloadData) -> Vec<String> {
    let links =
        data.namespaces.iter().flat_map(|namespace| &namespace.devices).filter_map(|one| one.link.as_ref());
    let addresses = |link: &hostdiag_model::Link| {
        let outside = link.addresses.iter().filter(|one| !one.starts_with("127.") && !one.starts_with("::1"));
        outside.map(|one| one.split('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let macs = |link: &hostdiag_model::Link| link.mac.clone().filter(|mac| mac != "00:00:00:00:00:00");
    let netns = data.namespaces.iter().filter_map(|namespace| namespace.name.clone());
    links.flat_map(|link| addresses(link).into_iter().chain(macs(link))).chain(netns).collect()
}

#[test]
fn nothing_is_left_in_any_format() {
    let mut all = 0;
    for path in recordings() {
        let original = Recording::read(&mut &*fs::read(&path).unwrap()).unwrap();
        let secrets = secrets(&original);
        for format in ["text", "json", "svg", "folded"] {
            let output = hostdiag(&["report", "--redact", "--format", format], &path);
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).replace(&*path.to_string_lossy(), "");
            for secret in &secrets {
                assert!(!text.contains(secret), "{}: {secret} in {format}: {text}", path.display());
            }
        }
        all += secrets.len();
    }
    assert!(all > 50, "{all} secrets are too few to say much");
}

#[test]
fn it_is_a_recording_as_before() {
    for path in recordings() {
        let output = hostdiag(&["report", "--redact", "--format", "json"], &path);
        assert_eq!(output.status.code(), Some(0), "{}", path.display());
        let redacted = Recording::read(&mut &*output.stdout).unwrap();
        let original = Recording::read(&mut &*fs::read(&path).unwrap()).unwrap();
        assert_eq!(redacted.elapsed_ms, original.elapsed_ms, "{}", path.display());
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let mut again = Vec::new();
        original.write(&mut again).unwrap();
        assert_eq!(lines(&output.stdout), lines(&again), "{}", path.display());
        // What has been redacted stays as it is.
        let file = std::env::temp_dir().join(format!("hostdiag-redact-{}", std::process::id()));
        fs::write(&file, &output.stdout).unwrap();
        let twice = hostdiag(&["report", "--redact", "--format", "json"], &file).stdout;
        fs::remove_file(&file).unwrap();
        assert!(twice == output.stdout, "{}: another", path.display());
    }
}
