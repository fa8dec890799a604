//! The agent by itself, and record on this host.
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use hostdiag_model::Capture;

use crate::sshd::{Folder, finish, program, until};

fn frame(json: &str) -> Vec<u8> {
    let length = u32::try_from(json.len()).unwrap().to_be_bytes();
    [b"{", &length[..], json.as_bytes()].concat()
}

#[test]
fn the_agent_ends_with_its_stdin_in_the_middle_of_a_recording() {
    let mut agent = Command::new(program())
        .arg("agent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = agent.stdin.take().unwrap();
    let mut stdout = agent.stdout.take().unwrap();
    let order = r#"{"type":"record","tools":["profile"],"duration_ms":600000,"max_overhead":100}"#;
    stdin.write_all(&frame(order)).unwrap();
    stdin.write_all(&frame(r#"{"type":"begin","at_us":0}"#)).unwrap();
    let mut said = Vec::new();
    let mut bytes = [0; 4096];
    until("it is ready", || {
        let read = stdout.read(&mut bytes).unwrap();
        said.extend_from_slice(&bytes[..read]);
        said.windows(7).any(|window| window == b"\"ready\"")
    });
    drop(stdin);
    stdout.read_to_end(&mut said).unwrap();
    let ran = finish(agent);
    assert_eq!((ran.status, ran.said.as_str()), (Some(0), ""));
}

#[test]
fn what_is_no_request_ends_the_agent() {
    let deep = format!(r#"{{"type":"time","x":{}"#, "[".repeat(60_000));
    let long = [b"{".as_slice(), &u32::MAX.to_be_bytes()].concat();
    let unknown = frame(r#"{"type":"reboot"}"#);
    let path = r#"{"type":"record","tools":["stackcount"],"duration_ms":1,"max_overhead":1,"functions":["/bin/sh:main"]}"#;
    for (bytes, status, says) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 2, "unknown kind"),
        (frame(&deep), 2, "recursion limit"),
        (long, 2, "a frame of 4294967295 bytes"),
        (unknown, 2, "unknown variant `reboot`"),
        (frame(path), 0, ""),
    ] {
        let mut agent = Command::new(program())
            .arg("agent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        agent.stdin.take().unwrap().write_all(&bytes).unwrap();
        let mut said = Vec::new();
        agent.stdout.take().unwrap().read_to_end(&mut said).unwrap();
        let ran = finish(agent);
        ran.failed(status, &[says]);
        let refused = String::from_utf8_lossy(&said).contains("is no name of a function");
        assert_eq!(refused, status == 0, "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn a_plan_is_recorded_into_one_file() {
    let folder = Folder::new();
    let path = folder.path("out.hd");
    let args = ["record", "--plan", "snapshot,offload,profile,timer-names", "--duration", "1s", "-o", &path];
    let child = Command::new(program()).args(args).stderr(Stdio::piped()).spawn().unwrap();
    let ran = finish(child);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    let bytes = fs::read(&path).unwrap();
    let capture = Capture::read(&mut &bytes[..]).unwrap();
    let mut commands: Vec<&str> =
        capture.recordings.iter().map(|recording| recording.command.as_str()).collect();
    commands.sort_unstable();
    assert_eq!(commands, ["offload", "profile", "snapshot", "timer-names"]);
    assert!(
        capture.snapshot().is_some()
            && capture.recordings.iter().all(|recording| recording.elapsed_ms.is_some())
    );
    let shown = Command::new(program()).args(["report", &path]).output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(text.lines().filter(|line| line.starts_with("== ")).count(), 4, "{text}");
    let json = Command::new(program()).args(["report", "--format", "json", &path]).output().unwrap();
    assert!(json.stdout == bytes);
}
