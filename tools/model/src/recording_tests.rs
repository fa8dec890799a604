//! What is written is read; what is damaged is refused.

use super::*;
use crate::features::FeatureState;
use crate::plan::{Change, Done, Run, Undone};
use crate::stacks::{Frame, Part, Stack, StackCounts, StackKey, StackTable, Symbol};
use crate::trace::{Attach, Function, MAX_WINDOWS, Mechanism, Payload, Reason};

fn recording() -> Recording {
    Recording {
        tool: "0.1.0".into(),
        command: "offload".into(),
        host: Host { name: "web17".into(), ..Host::default() },
        started_ms: 1_787_000_000_000,
        elapsed_ms: Some(12),
        side: None,
        loss: vec![Loss { what: "x".into(), count: 1 }],
        data: Data::Offload(OffloadData::default(), Audit::default()),
    }
}

fn trace() -> Trace {
    let functions = vec![Function { name: "mod_timer".into(), ..Function::default() }];
    let attach = vec![Attach { mechanism: Mechanism::Fentry, reason: Reason::Few, functions }];
    let window = |at| Window { start_ms: at, end_ms: at + 1, payload: Payload::Counts(vec![(0, 7)]) };
    Trace {
        head: Head { attach, ..Head::default() },
        // More than are kept, so that neighbours have merged.
        windows: (0..2 * MAX_WINDOWS as u64).map(window).collect(),
        accounting: Some(Accounting { entries: Some(7), ..Accounting::default() }),
        overhead: Some(Overhead::default()),
        ..Trace::default()
    }
}

fn stacks() -> Trace {
    let mut stacks = StackTable::new();
    let symbol = Symbol::Name("mod_timer".into());
    let frame = stacks.add_frame(Frame { address: 1, symbol, offset: Some(0), module: None, inlined: false });
    let kernel = Some(Part { frames: vec![frame], gap: None });
    let mut counts = StackCounts::new();
    let stack = stacks.add_stack(Stack { kernel, user: None });
    counts.add(StackKey { stack, function: Some(0), pid: Some(7), comm: Some("a".into()) }, 3);
    let window = Window { start_ms: 0, end_ms: 1, payload: Payload::Stacks(counts) };
    Trace { stacks, windows: [window].into_iter().collect(), ..trace() }
}

#[test]
fn windows_of_stacks_that_cannot_be_are_refused() {
    let mut bytes = Vec::new();
    let data = Data::Trace(Box::new(Trace { accounting: None, overhead: None, ..stacks() }));
    Recording { data, elapsed_ms: None, loss: Vec::new(), ..recording() }.write(&mut bytes).unwrap();
    let with = |line: &str| error(&[&bytes[..], line.as_bytes()].concat());
    for (payload, problem) in [
        (r#""stacks":{"counts":[{"stack":1,"count":1}]}"#, "there is no stack 1"),
        (r#""stacks":{"counts":[{"stack":0,"function":1,"count":1}]}"#, "a function that was not attached"),
        (r#""counts":[[0,1]]"#, "a window of another tool"),
    ] {
        let found = with(&format!("{{\"type\":\"window\",\"start_ms\":1,\"end_ms\":2,{payload}}}\n"));
        assert!(found.contains(problem), "{payload}: {found}");
    }
    let deeper = r#"{"type":"stacks","frames":[],"stacks":[{"kernel":{"frames":[1]}}]}"#;
    assert!(with(deeper).contains("a stack has frame 1, there are 1"));
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let with = |window: &str| {
        let mut bytes = Vec::new();
        let data = Data::Trace(Box::new(Trace { accounting: None, overhead: None, ..trace() }));
        Recording { data, elapsed_ms: None, loss: Vec::new(), ..recording() }.write(&mut bytes).unwrap();
        bytes.extend(window.as_bytes());
        Recording::read(&mut &bytes[..]).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(with(r#"{"type":"window","start_ms":1200,"end_ms":1201,"counts":[[0,1]]}"#), Ok(()));
    for (window, problem) in [
        (r#""start_ms":1200,"end_ms":1201,"counts":[[1,1]]"#, "a function that was not attached"),
        (r#""start_ms":1200,"end_ms":1201,"counts":[[0,1],[0,1]]"#, "a function that was not attached"),
        (r#""start_ms":1199,"end_ms":1201,"counts":[]"#, "at the wrong time"),
        (r#""start_ms":1201,"end_ms":1200,"counts":[]"#, "at the wrong time"),
        (r#""start_ms":1200,"end_ms":18446744073709551615,"counts":[]"#, "at the wrong time"),
    ] {
        let found = with(&format!("{{\"type\":\"window\",{window}}}\n")).unwrap_err();
        assert!(found.contains(problem), "{window}: {found}");
    }
    let mut bytes = bytes();
    let end = bytes.windows(13).position(|part| part == br#"{"type":"end""#).unwrap();
    bytes.truncate(end);
    bytes.extend(br#"{"type":"window","start_ms":0,"end_ms":1,"counts":[]}"#);
    assert!(error(&bytes).contains("behind an audit"));
}

fn bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    recording().write(&mut bytes).unwrap();
    bytes
}

fn error(bytes: &[u8]) -> String {
    Recording::read(&mut &bytes[..]).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(Recording::read(&mut &bytes()[..]).unwrap(), recording());
}

#[test]
fn every_kind_of_data_is_read_as_it_was_written() {
    let run = Run {
        id: Some("7".into()),
        observe_ms: 5000,
        steps: vec![Done::Interrupted],
        recovered: vec![Undone { id: "6".into(), wishes: Vec::new(), recomputed: vec!["eth0".into()] }],
        remaining: Vec::new(),
        problems: Vec::new(),
    };
    let all = [
        Data::Fix(Fix::default()),
        Data::Fix(Fix { run: Some(run.clone()), ..Fix::default() }),
        Data::Undo(Undo { runs: run.recovered, problems: Vec::new() }),
        Data::History(History::default()),
        Data::Trace(trace().into()),
        Data::Trace(stacks().into()),
    ];
    for data in all {
        let recording = Recording { data, ..recording() };
        let mut bytes = Vec::new();
        recording.write(&mut bytes).unwrap();
        assert_eq!(Recording::read(&mut &bytes[..]).unwrap(), recording);
        assert!(!recording.data.name().contains("audit"));
        // Data is of one kind.
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let with = |line: &str| error(format!("{}{}{line}\n", lines[0], lines[1]).as_bytes());
        assert!(with(r#"{"type":"offload","namespaces":[]}"#).contains("line 3: a second record of data"));
        assert!(with(r#"{"type":"audit","entries":[]}"#).contains("line 3: an audit record behind"));
    }
}

#[test]
fn whether_something_changed_stands_first() {
    let line = |data: Data| {
        let mut bytes = Vec::new();
        Recording { data, ..recording() }.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap().lines().nth(1).unwrap().to_owned()
    };
    let change = |device: &str| Change {
        device: device.into(),
        ifindex: 5,
        feature: "rx-gro".into(),
        before: FeatureState::Off,
        after: FeatureState::On,
        certain: true,
        physical: false,
    };
    let run = |done: Done| Run {
        id: None,
        observe_ms: 0,
        steps: vec![done],
        recovered: Vec::new(),
        remaining: Vec::new(),
        problems: Vec::new(),
    };
    let fix = |run| line(Data::Fix(Fix { run, ..Fix::default() }));
    assert!(fix(None).starts_with(r#"{"type":"fix","changed":false,"plan":{"#));
    let repaired = Done::Repaired { changes: vec![change("vlan10")] };
    assert!(fix(Some(run(repaired))).starts_with(r#"{"type":"fix","changed":true,"plan":{"#));
    let undone = Done::RolledBack { worse: vec!["loss".into()] };
    assert!(fix(Some(run(undone))).starts_with(r#"{"type":"fix","changed":false,"plan":{"#));
    let undo = line(Data::Undo(Undo::default()));
    assert_eq!(undo, r#"{"type":"undo","changed":false,"runs":[]}"#);
}

#[test]
fn without_an_end_it_is_partial() {
    let text = String::from_utf8(bytes()).unwrap();
    let cut = text.rsplit_once("{\"type\":\"end\"").unwrap().0;
    let partial = Recording::read(&mut cut.as_bytes()).unwrap();
    assert_eq!(partial.elapsed_ms, None);
    // In the middle of the end record.
    assert_eq!(Recording::read(&mut &text.as_bytes()[..text.len() - 9]).unwrap(), partial);
}

#[test]
fn damage_is_named_with_its_line() {
    let text = String::from_utf8(bytes()).unwrap();
    assert!(error(text.replace("web17", "web18").as_bytes()).contains("line 5: the checksum is wrong"));
    assert!(error(format!("{text}{{}}").as_bytes()).contains("line 6"));
    let twice: String = text.split_inclusive('\n').flat_map(|line| [line, line]).collect();
    assert!(error(twice.as_bytes()).contains("line 2: a second header"));
    assert_eq!(error(b"tx-checksumming: on\n"), "the first line is no hostdiag header");
    assert_eq!(error(b""), "the first line is no hostdiag header");
}

#[test]
fn a_line_that_is_missing_is_missed() {
    let text = String::from_utf8(bytes()).unwrap();
    let (before, end) = text.split_at(text.find("{\"type\":\"end\"").unwrap());
    let miscounted = format!("{before}{}", end.replace("\"lines\":4", "\"lines\":5"));
    assert!(error(miscounted.as_bytes()).contains("counts 5 lines, there are 4"));
}

#[test]
fn another_version_is_named_beside_ours() {
    let text = String::from_utf8(bytes()).unwrap().replace("\"version\":1", "\"version\":7");
    let message = error(text.as_bytes());
    assert!(message.contains("version 7") && message.contains("version 1"), "{message}");
}
