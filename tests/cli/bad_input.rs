//! Files that are not what they should be: each is named, with its line or field and what
//! is wrong; nothing is written; memory is bounded.
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::folder::Folder;
use crate::root;

/// Every command that reads such files, as it is typed.
const COMMANDS: [&str; 3] =
    ["report FILE --output OUT", "flamegraph FILE --output OUT", "diff FILE GOOD --output OUT"];

fn good() -> PathBuf {
    root().join("tests/recordings/trace/push-stable.hd")
}

/// `before`: shell commands, for limits.
fn run(command: &str, file: &Path, out: &Path, before: &str) -> Output {
    let line = command
        .replace("FILE", &file.display().to_string())
        .replace("GOOD", &good().display().to_string())
        .replace("OUT", &out.display().to_string());
    let line = format!("{before} exec {} {line}", env!("CARGO_BIN_EXE_hostdiag"));
    Command::new("sh").args(["-c", &line]).output().unwrap()
}

#[track_caller]
fn refused(command: &str, file: &Path, before: &str, words: &str) {
    let out = file.with_extension("out");
    let output = run(command, file, &out, before);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{command}: {said}");
    assert!(output.stdout.is_empty() && !out.exists(), "{command}: there is a result");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name) && said.contains(words), "{command}: {words:?} of {name} in {said}");
    assert!(said.starts_with("error: ") && said.lines().count() <= 3, "{command}: {said}");
}

/// Lines of a good recording, the one of this number changed.
fn changed(number: usize, change: impl Fn(&str) -> String) -> Vec<u8> {
    let text = fs::read_to_string(good()).unwrap();
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| if at + 1 == number { change(line) } else { line.to_owned() } + "\n");
    lines.collect::<String>().into_bytes()
}

#[test]
fn recordings_that_are_damaged() {
    let folder = Folder::new("damaged");
    let nested = format!("{{\"type\":\"trace\",\"asked\":{}", "[".repeat(100_000));
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("nested", changed(2, |_| nested.clone()), "line 2: recursion limit exceeded"),
        ("cut-in-header", changed(1, |line| line[..40].to_owned())[..40].to_vec(), "header"),
        (
            "newer",
            changed(1, |line| line.replace("\"version\":1", "\"version\":2")),
            "version 2; this hostdiag reads",
        ),
        (
            "negative",
            changed(4, |line| line.replace("\"end_ms\":", "\"end_ms\":-")),
            "line 4: invalid value: integer `-",
        ),
        ("nan", changed(4, |line| line.replace("\"end_ms\":", "\"end_ms\":NaN,\"x\":")), "line 4: "),
        (
            "other-field",
            changed(2, |line| line.replace("\"patterns\"", "\"pattern\"")),
            "line 2: missing field `patterns`",
        ),
        ("swapped", changed(2, |_| "{\"type\":\"trance\"}".into()), "line 2: unknown variant `trance`"),
        ("changed", changed(1, |line| line.replace("web17", "web18")), "the checksum is wrong"),
    ];
    for (name, content, words) in &cases {
        let file = folder.file(name, content);
        COMMANDS.iter().for_each(|command| refused(command, &file, "", words));
    }
}

#[test]
fn text_that_is_no_stack() {
    let folder = Folder::new("no-stack");
    let cases: [(&str, &[u8], &str); 9] = [
        ("no-count", b"a;b 1\na;b;c\n", "line 2: \"a;b;c\": no count behind the stack"),
        ("nan", b"a;b NaN\n", "line 1: \"a;b NaN\": the count NaN is no whole number"),
        ("negative", b"a;b 1\na;b -3\n", "line 2: \"a;b -3\": the count -3 is no whole number"),
        ("half", b"a;b 1.5\n", "line 1: \"a;b 1.5\": the count 1.5 is no whole number"),
        ("too-many", b"a;b 18446744073709551616\n", "line 1: "),
        ("no-stack", b" 12\n", "line 1: "),
        ("binary", b"a;b 1\n\xff\xfe\n", "line 2: "),
        ("empty", b"", "it is empty"),
        ("blank", b"\n\n", ""),
    ];
    for (name, content, words) in cases {
        let file = folder.file(name, content);
        COMMANDS[1..].iter().for_each(|command| refused(command, &file, "", words));
    }
    // Blanks are a part of names, and empty frames are none.
    let fine = folder.file("fine", b"java main;std::vec<a, b>::push;;c d 5\n");
    let output = run("flamegraph FILE", &fine, Path::new(""), "");
    let graph = String::from_utf8(output.stdout).unwrap();
    assert!(graph.contains("<title>std::vec&lt;a, b&gt;::push (5 samples"), "{graph}");
    assert!(graph.contains("<title>c d (5 samples"), "{graph}");
}

#[test]
fn a_gigabyte_takes_no_gigabyte() {
    let folder = Folder::new("huge");
    let header = fs::read(good()).unwrap();
    let header = header.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    let starts: [(&str, &[u8], &str); 3] = [
        ("line", b"a;b 1\n", "line 2: \"\": longer than"),
        ("bracket", b"{", ""),
        ("recording", header, "line 2: the recording is too large"),
    ];
    for (name, start, words) in starts {
        let file = folder.file(name, b"");
        let open = File::options().write(true).open(&file).unwrap();
        open.set_len(1 << 30).unwrap();
        open.write_all_at(start, 0).unwrap();
        // Half of it; the program itself is a part of that.
        let commands = COMMANDS.iter().filter(|command| name != "line" || !command.starts_with("report"));
        commands.for_each(|command| refused(command, &file, "ulimit -v 786432;", words));
    }
}

#[test]
fn many_stacks_of_one_kind_take_no_room() {
    // 100 MB through a pipe, in 256 MB that the program itself is most of.
    let line = format!("{} 1\n", "frame;".repeat(2000));
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v 393216; exec {} flamegraph -", env!("CARGO_BIN_EXE_hostdiag"))])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer =
        std::thread::spawn(move || (0..8000).for_each(|_| input.write_all(line.as_bytes()).unwrap()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("(8,000 samples, 100.00%)"));
}

#[test]
fn a_name_that_is_nearly_there() {
    let folder = Folder::new("near");
    folder.file("web17.hd", b"");
    let wrong = folder.0.join("web71.hd");
    for command in
        ["report FILE", "flamegraph FILE", "diff FILE GOOD", "diff GOOD FILE", "offload --from FILE"]
    {
        let output = run(command, &wrong, Path::new(""), "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("there is no such file [bad-input]"), "{command}: {said}");
        assert!(said.ends_with("hint:  did you mean web17.hd?\n"), "{command}: {said}");
    }
}
