//! A profile is read back field by field.

use std::sync::Arc;

use hostdiag_model::stacks::{Part, StackCounts};
use hostdiag_model::trace::{Payload, Window};
use hostdiag_model::{Data, Host};

use super::*;

/// Fields of a message: their numbers, and a number or bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Result<u64, &[u8]>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Ok(varint(&mut bytes)),
            _ => {
                let length = varint(&mut bytes) as usize;
                let (block, rest) = bytes.split_at(length);
                bytes = rest;
                Err(block)
            }
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    *bytes = &bytes[end + 1..];
    value
}

fn numbers(mut packed: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while !packed.is_empty() {
        numbers.push(varint(&mut packed));
    }
    numbers
}

fn recording() -> (Recording, Trace) {
    let mut trace = Trace::default();
    let frame = |name: &str, module: Option<&str>, address| Frame {
        address,
        symbol: Symbol::Name(name.into()),
        offset: None,
        module: module.map(Arc::from),
        inlined: false,
    };
    let names = [frame("tcp_push_one", None, u64::MAX), frame("main", Some("/bin/x"), 0x400)];
    let [kernel, user] = names.map(|frame| trace.stacks.add_frame(frame));
    let part = |frame, gap: Option<&str>| Some(Part { frames: vec![frame], gap: gap.map(Arc::from) });
    let whole = trace.stacks.add_stack(Stack { kernel: part(kernel, None), user: part(user, None) });
    let cut = trace.stacks.add_stack(Stack { kernel: part(kernel, Some("deeper")), user: None });
    let mut counts = StackCounts::new();
    let key = |stack| StackKey { stack, function: None, pid: None, comm: None };
    counts.add(StackKey { pid: Some(7), comm: Some("x".into()), ..key(whole) }, 300);
    counts.add(key(cut), 2);
    let payload = Payload::Stacks(counts);
    trace.windows.push(Window { start_ms: 0, end_ms: 1000, payload });
    let recording = Recording {
        tool: String::new(),
        command: "stackcount".into(),
        host: Host::default(),
        started_ms: 5,
        elapsed_ms: Some(1000),
        side: None,
        loss: Vec::new(),
        data: Data::Trace(Box::default()),
    };
    (recording, trace)
}

#[test]
fn a_profile_has_every_stack_with_its_names() {
    let (recording, trace) = recording();
    let bytes = profile(&recording, &trace).unwrap();
    let all = fields(&bytes);
    let blocks = |field: u64| {
        all.iter().filter(move |(number, _)| *number == field).map(|(_, value)| value.unwrap_err())
    };
    let texts: Vec<&str> = blocks(6).map(|text| std::str::from_utf8(text).unwrap()).collect();
    assert_eq!(texts[0], "");
    let names: HashMap<u64, &str> = blocks(5)
        .map(|function| {
            let function = fields(function);
            (function[0].1.unwrap(), texts[function[1].1.unwrap() as usize])
        })
        .collect();
    let locations: HashMap<u64, &str> = blocks(4)
        .map(|location| {
            let location = fields(location);
            let line = location.iter().find(|(field, _)| *field == 4).unwrap().1.unwrap_err();
            (location[0].1.unwrap(), names[&fields(line)[0].1.unwrap()])
        })
        .collect();
    let samples: Vec<(Vec<&str>, u64, usize)> = blocks(2)
        .map(|sample| {
            let sample = fields(sample);
            let path = numbers(sample[0].1.unwrap_err()).iter().map(|id| locations[id]).collect();
            let labels = sample.iter().filter(|(field, _)| *field == 3).count();
            (path, numbers(sample[1].1.unwrap_err())[0], labels)
        })
        .collect();
    let expected = [(vec!["tcp_push_one", "main"], 300, 2), (vec!["tcp_push_one", "[deeper]"], 2, 0)];
    assert_eq!(samples, expected);
    let files: Vec<&str> = blocks(3).map(|mapping| texts[fields(mapping)[1].1.unwrap() as usize]).collect();
    assert_eq!(files, ["[kernel.kallsyms]", "/bin/x"]);
    assert!(all.contains(&(9, Ok(5_000_000))) && all.contains(&(10, Ok(1_000_000_000))));
}

#[test]
fn what_has_no_stacks_makes_no_profile() {
    let (recording, _) = recording();
    assert_eq!(profile(&recording, &Trace::default()), None);
}
