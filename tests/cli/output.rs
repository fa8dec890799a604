//! `--output` of what reads files: the same of every command that has it.
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use crate::folder::Folder;
use crate::root;

const COMMANDS: [&str; 6] = [
    "report IN",
    "report IN --format json",
    "report IN --format html",
    "report IN --format svg",
    "flamegraph IN",
    "diff IN IN --format html",
];

/// `before`: shell commands, for limits.
fn run(command: &str, input: &Path, rest: &str, before: &str) -> Output {
    let line = command.replace("IN", &input.display().to_string());
    let line = format!("{before} exec {} {line} {rest}", env!("CARGO_BIN_EXE_hostdiag"));
    Command::new("sh").args(["-c", &line]).output().unwrap()
}

fn to(path: &Path) -> String {
    format!("--output {}", path.display())
}

fn input(folder: &Folder) -> std::path::PathBuf {
    folder.file("push.hd", &fs::read(root().join("tests/recordings/trace/push-stable.hd")).unwrap())
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_its_owners_and_has_what_stdout_has() {
    let folder = Folder::new("output");
    let (input, path) = (input(&folder), folder.file("result", b"of somebody else"));
    for command in COMMANDS {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let expected = run(command, &input, "", "");
        assert!(!expected.stdout.is_empty(), "{command}");
        let output = run(command, &input, &to(&path), "");
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!((output.stdout.len(), output.stderr), (0, expected.stderr), "{command}");
        assert!(fs::read(&path).unwrap() == expected.stdout, "{command}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{command}");
        assert_eq!(run(command, &input, "--output -", "").stdout, expected.stdout, "{command}");
    }
    assert_eq!(names(&folder), ["push.hd", "result"]);
}

#[test]
fn a_kept_comparison_knows_what_work_was_said() {
    let folder = Folder::new("output-compare");
    let (good, bad) = (compared("good"), compared("bad"));
    let path = folder.0.join("cmp.hd");
    let work = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find(|line| line.starts_with("work ")).unwrap_or_default().to_owned()
    };
    for said in ["10,9.5", "0.003,0.001"] {
        let line = format!("compare --work {said} IN {}", bad.display());
        let output = run(&line, &good, &to(&path), "");
        let again = run("report IN", &path, "", "");
        let [first, again] = [&output, &again].map(work);
        assert!(first.contains("as said"), "{first}");
        assert_eq!(first, again.replace("as counted or said", "as said"));
    }
}

/// A recording of one of two hosts.
fn compared(name: &str) -> std::path::PathBuf {
    root().join(format!("tests/recordings/compare/{name}-stable.hd"))
}

#[test]
fn a_file_has_no_colours_and_a_link_stays() {
    let folder = Folder::new("coloured");
    let (path, link) = (folder.file("result", b""), folder.0.join("link"));
    symlink("result", &link).unwrap();
    let audit = root().join("tests/recordings/article-stable.hd");
    let coloured = |rest: &str| run("report IN --color always", &audit, rest, "").stdout.contains(&b'\x1b');
    assert!(coloured("") && !coloured(&to(&link)));
    assert!(fs::read_to_string(&path).unwrap().contains("LOST"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn what_is_read_stays() {
    let folder = Folder::new("same");
    let input = input(&folder);
    let before = fs::read(&input).unwrap();
    let (link, hard) = (folder.0.join("link"), folder.0.join("hard"));
    symlink("push.hd", &link).unwrap();
    fs::hard_link(&input, &hard).unwrap();
    let stdin = format!("report - --format html <{}", input.display());
    for command in COMMANDS.into_iter().chain([stdin.as_str()]) {
        for path in [&input, &link, &hard] {
            let output = run(command, &input, &to(path), "");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command}: {said}");
            assert!(said.contains("is what is read") && said.contains("--output another name"), "{said}");
        }
    }
    assert!(fs::read(&input).unwrap() == before);
    assert_eq!(names(&folder), ["hard", "link", "push.hd"]);
}

#[test]
fn what_cannot_be_written_leaves_what_was_there() {
    let folder = Folder::new("unwritten");
    let (input, path) = (input(&folder), folder.file("result", b"before"));
    let missing = folder.0.join("no-folder/result");
    // No file may have anything in it; a disk that is full.
    let short = "trap '' XFSZ; ulimit -f 0;";
    for command in COMMANDS {
        for (path, before, words) in [
            (path.as_path(), short, "File too large"),
            (Path::new("/dev/full"), "", "No space left on device"),
            (&missing, "", "No such file or directory"),
        ] {
            let output = run(command, &input, &to(path), before);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command}: {said}");
            assert!(said.contains(words) && said.contains(path.to_str().unwrap()), "{command}: {said}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), b"before");
    assert_eq!(names(&folder), ["push.hd", "result"]);
}
