use proptest::prelude::*;

use serde_json::Value;

use super::*;
use crate::host::Host;
use crate::offload::{Device, Intent, Link, Namespace, OffloadData, Problem};
use crate::recording::{Loss, Side};
use crate::stacks::{Frame, Part, Stack, StackCounts, StackKey, StackTable, Symbol};
use crate::trace::latency;
use crate::trace::timers::{Owner, Timer, TimerCount, TimerKind};
use crate::trace::{
    Accounting, Arguments, Asked, Attach, Column, Filter, Function, Group, Head, Latency, Mechanism, Payload,
    Reason, Trace, ValueCount, ValueKey, Window,
};
use crate::{Audit, Features, Histogram, histogram::Resolution, trace};

fn recording(host: &str, data: Data) -> Recording {
    Recording {
        tool: "0".into(),
        command: "offload".into(),
        host: Host { name: host.into(), kernel: Some("6.1.0-56-amd64".into()), ..Host::default() },
        started_ms: 1,
        elapsed_ms: Some(2),
        side: None,
        loss: Vec::new(),
        data,
    }
}

fn redacted(recording: &Recording) -> Recording {
    let mut copy = recording.clone();
    Redactor::default().redact([&mut copy]).unwrap();
    copy
}

fn written(recording: &Recording) -> String {
    let mut bytes = Vec::new();
    recording.write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// An audit of a host, whose names are all of these.
fn offload(names: &[String]) -> Recording {
    let [host, device, netns, file] = [0, 1, 2, 3].map(|at| names[at].clone());
    let link = Link {
        mac: Some("52:54:00:12:34:56".into()),
        altnames: vec![format!("{device}a")],
        addresses: vec!["10.36.10.7/24".into(), "2001:db8:17::7/64".into(), "127.0.0.1/8".into()],
        lower_netns: Some(netns.clone()),
        ..Link::default()
    };
    // In the order of the kernel, not of the alphabet.
    let features: Features =
        serde_json::from_str(r#"{"tx-scatter-gather":"on","rx-checksum":"off [fixed]"}"#).unwrap();
    let of = |name: &str| Device {
        name: name.into(),
        link: Some(link.clone()),
        features: Some(features.clone()),
        vlan_features: Some(vec!["tx-scatter-gather".into()]),
    };
    let intent = Intent {
        device: device.clone(),
        features: vec!["tx-scatter-gather".into()],
        on: false,
        file: format!("/etc/systemd/network/{file}.link"),
        line: 3,
        text: format!("up ethtool -K {device} sg off # {host} 10.36.10.7, 52:54:00:12:34:56"),
        manager: "systemd.link".into(),
    };
    let namespace = Namespace {
        name: Some(netns.clone()),
        path: Some(format!("/run/netns/{netns}")),
        problems: vec![Problem { subject: device.clone(), message: format!("{host}.{netns}: no answer") }],
        ..Namespace::of_text(vec![of("vlan10"), of(&device)])
    };
    let data = OffloadData {
        namespaces: vec![namespace],
        intents: Some(vec![intent]),
        intents_incomplete: false,
        held: Vec::new(),
    };
    Recording {
        side: Some(Side { group: "bad".into(), target: format!("root@{host}:2222"), ..Side::default() }),
        loss: vec![Loss { what: format!("answers of {device}"), count: 1 }],
        ..recording(&host, Data::Offload(data, Audit::default()))
    }
}

/// A trace of one kind of window, with these names wherever a trace has any.
fn traced(names: &[String], kind: usize) -> Recording {
    let [host, text, cgroup, user] = [0, 1, 2, 3].map(|at| names[at].clone());
    let path = format!("/home/{user}/bin/app");
    let mut stacks = StackTable::new();
    let named = Symbol::Name("tcp_push_one".into());
    let frame =
        Frame { address: 7, symbol: named, offset: None, module: Some(path.as_str().into()), inlined: false };
    let frames = vec![stacks.add_frame(frame)];
    let stack = stacks.add_stack(Stack { kernel: Some(Part { frames, gap: None }), user: None });
    let counted = || {
        let mut counts = StackCounts::new();
        counts.add(StackKey { stack, function: None, pid: None, comm: Some(host.as_str().into()) }, 3);
        counts
    };
    let mut histogram = Histogram::new(Resolution::FINEST);
    histogram.add(9, 1);
    let latency = |comm: &str| {
        let group = Some(Group::Comm(comm.into()));
        Latency { function: None, group, histogram: histogram.clone() }
    };
    let value = |value: trace::Value, count| {
        let key = ValueKey { function: None, comm: Some("java".into()), values: vec![value] };
        ValueCount { key, count }
    };
    let payload = match kind {
        0 => Payload::Stacks(counted()),
        1 => Payload::Latency(latency::merged([latency(&host), latency("nginx")])),
        2 => Payload::Values(trace::arguments::merged([
            value(trace::Value::Text(text.clone()), 5),
            value(trace::Value::Cut { cut: text.clone() }, 6),
            value(trace::Value::Unsigned(44), 7),
        ])),
        _ => Payload::Timers(vec![TimerCount {
            timer: Some(Timer {
                kind: TimerKind::Timer,
                function: Function { name: "process_timeout".into(), ..Function::default() },
                owner: Some(Owner::Process(host.clone())),
                group: None,
            }),
            started: 1,
            removed: 0,
            expired: 0,
            rearmed: 0,
            delay: histogram.clone(),
            late: None,
            run: None,
            stacks: Some(counted()),
        }]),
    };
    let arguments = Arguments {
        columns: vec![Column { expression: "dev->name".into(), form: trace::Form::Text }],
        condition: Some(format!("dev->name != \"{text}\"")),
        max_values: 9,
        ..Arguments::default()
    };
    let asked = Asked {
        patterns: vec![format!("{path}:main")],
        arguments: Some(arguments),
        filter: Filter { cgroup: Some(format!("/{cgroup}.slice")), ..Filter::default() },
        ..Asked::default()
    };
    let function = Function { name: "main".into(), module: Some(path), address: None };
    let attach =
        vec![Attach { mechanism: Mechanism::Uprobe, reason: Reason::OnlyWay, functions: vec![function] }];
    let trace = Trace {
        head: Head { asked, attach, ..Head::default() },
        stacks,
        windows: std::iter::once(Window { start_ms: 0, end_ms: 1000, payload }).collect(),
        accounting: Some(Accounting::default()),
        overhead: None,
    };
    recording(&host, Data::Trace(Box::new(trace)))
}

/// Names that nothing else has in it, each another.
fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("zq[a-z]{3,6}", 4)
        .prop_map(|names| names.iter().zip(0..).map(|(name, at)| format!("{name}{at}w")).collect())
}

fn any() -> impl Strategy<Value = (Vec<String>, Recording)> {
    (names(), 0_usize..5).prop_map(|(names, kind)| {
        let recording = if kind == 4 { offload(&names) } else { traced(&names, kind) };
        (names, recording)
    })
}

/// Lines with every text emptied and lists of objects by their size alone.
fn shape(recording: &Recording) -> Vec<Value> {
    fn emptied(value: &mut Value) {
        match value {
            Value::String(text) => text.clear(),
            Value::Array(all) => all.iter_mut().for_each(emptied),
            Value::Object(fields) => fields.values_mut().for_each(emptied),
            _ => {}
        }
    }
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        emptied(&mut value);
        value
    };
    written(recording).lines().map(line).collect()
}

proptest! {
    #[test]
    fn nothing_of_the_originals_is_left((names, recording) in any()) {
        let text = written(&redacted(&recording));
        for name in names.iter().map(String::as_str).chain(["52:54:00:12:34:56", "10.36.10", "2001:db8"]) {
            prop_assert!(!text.contains(name), "{name} in {text}");
        }
        prop_assert!(text.contains("tcp_push_one") || text.contains("tx-scatter-gather"));
    }

    #[test]
    fn it_is_a_recording_of_the_same_shape((_, recording) in any()) {
        let redacted = redacted(&recording);
        let again = Recording::read(&mut written(&redacted).as_bytes());
        prop_assert_eq!(&again.unwrap(), &redacted);
        prop_assert_eq!(shape(&redacted), shape(&recording));
    }

    #[test]
    fn twice_is_the_same((_, recording) in any()) {
        let once = redacted(&recording);
        prop_assert_eq!(&redacted(&recording), &once);
        prop_assert_eq!(redacted(&once), once);
    }
}

#[test]
fn the_same_is_the_same_everywhere() {
    let names = ["web17.example.org", "acme0", "blue", "10-acme"].map(str::to_owned);
    let text = written(&redacted(&offload(&names)));
    for part in [
        r#""host":{"name":"host-1","kernel":"6.1.0-56-amd64"}"#,
        r#""target":"user-1@host-1:2222""#,
        r#""name":"netns-1","path":"/run/netns/netns-1""#,
        r#""mac":"mac-1","altnames":["dev-2"]"#,
        r#""addresses":["ipv4-1/24","ipv6-1/64","127.0.0.1/8"]"#,
        r#""name":"vlan10""#,
        r#""features":{"tx-scatter-gather":"on","rx-checksum":"off [fixed]"}"#,
        r#""file":"/etc/systemd/network/file-1.link","line":3"#,
        r#""text":"up ethtool -K dev-1 sg off # host-1 ipv4-1, mac-1""#,
        r#""subject":"dev-1","message":"host-1.netns-1: no answer""#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // The short name is the same host.
    let mut both = [offload(&names), recording("db1", Data::History(crate::history::History::default()))];
    both[1].loss.push(Loss { what: "web17 and db1".into(), count: 1 });
    Redactor::default().redact(&mut both).unwrap();
    assert_eq!(both[1].loss[0].what, "host-1 and host-2");
}

#[test]
fn addresses_are_found_in_text() {
    let mut names = names::Names::default();
    let mut text = |text: &str| names.replaced(Rule::Text, text);
    assert_eq!(
        text("ip=10.0.0.1::10.0.0.254:255.255.255.0::eth0:off via [fe80::1%eth0]:22."),
        "ip=ipv4-1::ipv4-2:255.255.255.0::eth0:off via [ipv6-1%eth0]:22."
    );
    assert_eq!(text("10.0.0.1:80, 10.0.0.1-10.0.0.9."), "ipv4-1:80, ipv4-1-ipv4-3.");
    assert_eq!(text("root=UUID=01234567-89ab-cdef-0123-456789abcdef"), "root=UUID=uuid-1");
    assert_eq!(text("/home/bob/x and /home/bob"), "/home/user-1/x and /home/user-1");
    assert_eq!(
        text("do_sendfile+0x80 at 12:30:00, 6.1.0-56, ::1"),
        "do_sendfile+0x80 at 12:30:00, 6.1.0-56, ::1"
    );
}

#[test]
fn a_name_like_a_pseudonym_is_nobody_elses() {
    let names = ["zqhost", "dev-1", "blue", "x"].map(str::to_owned);
    let mut of = offload(&names);
    let Data::Offload(data, _) = &mut of.data else { panic!("no audit") };
    data.namespaces[0].devices[0].name = "acme0".into();
    let Data::Offload(data, _) = redacted(&of).data else { panic!("no audit") };
    let found: Vec<_> = data.namespaces[0].devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(found, ["dev-3", "dev-1"]);
}
