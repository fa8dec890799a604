use super::*;
use crate::recording::Side;
use crate::snapshot::{Area, Rate, Setting, Unit, Value};

fn snapshot(host: &str, side: Option<Side>) -> Recording {
    let setting = |name: &str, value| Setting {
        area: Area::Sysctl,
        of: None,
        name: name.to_owned(),
        value,
        origin: Some("/etc/sysctl.d/90-local.conf".to_owned()),
        asked: None,
    };
    let snapshot = Snapshot {
        settings: vec![
            setting("net.core.default_qdisc", Value::Value("fq".to_owned())),
            setting("vm.stat_refresh", Value::Unreadable("permission denied".to_owned())),
        ],
        interval_ms: 1000,
        rates: vec![Rate {
            area: Area::Pressure,
            of: None,
            name: "cpu some".to_owned(),
            count: 7,
            unit: Unit::Microseconds,
        }],
        ..Snapshot::default()
    };
    Recording {
        tool: "0.1.0".to_owned(),
        command: "snapshot".to_owned(),
        host: crate::Host { name: host.to_owned(), ..crate::Host::default() },
        started_ms: 1_787_000_000_000,
        elapsed_ms: Some(1004),
        side,
        loss: Vec::new(),
        data: Data::Snapshot(Box::new(snapshot)),
    }
}

fn written(capture: &Capture) -> Vec<u8> {
    let mut bytes = Vec::new();
    capture.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn recordings_are_read_one_after_another() {
    let side = Side {
        group: "b".to_owned(),
        target: "web17".to_owned(),
        clock_offset_us: Some(-310),
        ..Side::default()
    };
    let capture = Capture { recordings: vec![snapshot("web16", None), snapshot("web17", Some(side))] };
    let bytes = written(&capture);
    assert_eq!(Capture::read(&mut &bytes[..]).unwrap(), capture);
    let single = Recording::read(&mut &bytes[..]).unwrap_err();
    assert!(single.to_string().contains("something follows the end record"), "{single}");
}

#[test]
fn a_fault_is_named_by_its_line_in_the_file() {
    let capture = Capture { recordings: vec![snapshot("web16", None), snapshot("web17", None)] };
    let text = String::from_utf8(written(&capture)).unwrap();
    let changed = text.replacen("web17", "web18", 1);
    let error = Capture::read(&mut changed.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "line 10: the checksum is wrong: the recording was changed");
}

#[test]
fn the_last_one_may_be_cut_off() {
    let capture = Capture { recordings: vec![snapshot("web16", None), snapshot("web17", None)] };
    let bytes = written(&capture);
    let read = Capture::read(&mut &bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(read.recordings.len(), 2);
    assert_eq!(read.recordings[1].elapsed_ms, None);
}
