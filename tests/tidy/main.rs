//! Rules of this repository that no compiler checks, over the files that git
//! tracks. A rule that only stands in prose is soon broken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod slots;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Longer files are split.
const MAX_LINES: usize = 500;

/// A tracked file.
struct File {
    path: String,
    text: String,
    executable: bool,
}

impl File {
    fn is_source(&self) -> bool {
        [".rs", ".c", ".h", ".sh", ".css", ".js"].iter().any(|end| self.path.ends_with(end))
            || self.is_script()
    }

    fn is_script(&self) -> bool {
        self.path.starts_with("scripts/") || self.path.starts_with(".ci/")
    }

    /// Other people's words, word for word.
    fn is_licence(&self) -> bool {
        self.path.starts_with("LICENSE") || self.path == "THIRD-PARTY-LICENSES"
    }

    /// Lines with their number, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

/// Every tracked file that is text.
fn files() -> Vec<File> {
    let root = root();
    let list = Command::new("git").args(["ls-files", "-z", "--stage"]).current_dir(&root).output();
    let list = list.expect("git, and a clone of the repository");
    assert!(list.status.success(), "git ls-files: {}", String::from_utf8_lossy(&list.stderr));
    let list = String::from_utf8(list.stdout).expect("names in UTF-8");
    let file = |entry: &str| {
        // MODE OBJECT STAGE<tab>PATH
        let (what, path) = entry.split_once('\t')?;
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(File { path: path.to_owned(), text, executable: what.starts_with("100755") })
    };
    let files: Vec<File> = list.split('\0').filter_map(file).collect();
    assert!(files.len() > 50, "only {} tracked files were read", files.len());
    files
}

/// Fails with every line of every file that `wrong` says something about.
#[track_caller]
fn no_line(rule: &str, concerns: impl Fn(&File) -> bool, wrong: impl Fn(&str) -> bool) {
    let mut found = Vec::new();
    for file in files().iter().filter(|file| concerns(file)) {
        let lines = file.lines().filter(|(_, line)| wrong(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// Whether `line` has `word` with nothing before and behind it that belongs to
/// a word.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[test]
fn files_are_short() {
    let long = |file: &&File| file.is_source() && file.lines().count() > MAX_LINES;
    let long: Vec<String> = files()
        .iter()
        .filter(long)
        .map(|file| format!("{}: {} lines", file.path, file.lines().count()))
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn unsafe_code_is_in_sys_alone() {
    // In two parts, here and below, so that this file keeps its own rules.
    let word = concat!("un", "safe");
    // Without comments, and without what stands between quotes.
    let code = |line: &str| {
        let line = line.split("//").next().unwrap_or_default();
        line.split('"').step_by(2).collect::<String>()
    };
    no_line(
        "unsafe code outside of tools/hostdiag/src/sys.rs and sys/",
        |file| {
            let sys = file.path == "tools/hostdiag/src/sys.rs";
            file.path.ends_with(".rs") && !sys && !file.path.starts_with("tools/hostdiag/src/sys/")
        },
        |line| has_word(&code(line), word),
    );
}

#[test]
fn kernel_versions_are_compared_in_one_header() {
    no_line(
        "a version number of the kernel outside of bpf/compat.bpf.h",
        |file| file.path != "bpf/compat.bpf.h" && !file.path.starts_with("scripts/vm/"),
        |line| has_word(line, concat!("LINUX_KERNEL_", "VERSION")),
    );
}

#[test]
fn nothing_is_left_to_do() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    no_line(
        "something is left to do",
        |file| file.is_source() || file.path.ends_with(".md") || file.path.ends_with(".toml"),
        |line| words.iter().any(|word| has_word(line, word)) || line.contains(concat!("todo", "!(")),
    );
}

#[test]
fn nothing_names_this_checkout() {
    let root = root().display().to_string();
    let in_path = |c: char| c.is_alphanumeric() || "._-/$})*".contains(c);
    no_line(
        "a path of the machine it was written on",
        |_| true,
        |line| line.match_indices(&format!("{root}/")).any(|(at, _)| !line[..at].ends_with(in_path)),
    );
}

#[test]
fn no_line_ends_with_blanks() {
    no_line(
        "blanks at the end of the line",
        |file| file.is_source() || file.path.ends_with(".md") || file.path.ends_with(".toml"),
        |line| line.ends_with([' ', '\t', '\r']),
    );
}

#[test]
fn scripts_can_be_run_and_say_how() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| file.is_script()) {
        let program = file.text.starts_with("#!");
        // What runs in a guest is not for people to start.
        let guest = file.path.contains("/guest-");
        let says_how = file.lines().take(12).any(|(_, line)| line.contains("Usage: "));
        if program != file.executable {
            wrong.push(format!("{}: executable, or begins with #!, but not both", file.path));
        }
        if program && !guest && !says_how {
            wrong.push(format!("{}: no line with its usage at the top", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_package_host_is_written_down() {
    // Each machine has its own mirrors in its own configuration.
    let hosts = [
        concat!("static.", "crates.io"),
        concat!("index.", "crates.io"),
        concat!("deb.", "debian.org"),
        concat!("security.", "debian.org"),
        concat!("ftp.", "debian.org"),
        concat!("snapshot.", "debian.org"),
        concat!("py", "pi.org"),
        concat!("registry.", "npmjs.org"),
    ];
    no_line(
        "the host of a package registry",
        |file| !file.is_licence(),
        |line| hosts.iter().any(|host| line.contains(host)),
    );
}
