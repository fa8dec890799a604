//! Hosts as they are: every login shell, programs brought along, what is missing.
use std::fs;
use std::io::Read;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sshd::{SHELLS, Sshd, finish, root, until};

/// What is audited alone takes no time.
const AUDIT: [&str; 2] = ["--plan", "offload"];

#[test]
fn every_login_shell_starts_the_agent() {
    let sshd = Sshd::start("");
    let hosts: Vec<String> = SHELLS.iter().map(|(name, _)| format!("{name}@web")).collect();
    let ran = sshd.record(&[&AUDIT[..], &["--on", &hosts.join(",")]].concat());
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    let capture = sshd.capture();
    let sides: Vec<_> = capture.recordings.iter().map(|recording| recording.side.clone().unwrap()).collect();
    assert_eq!(sides.iter().map(|side| side.target.clone()).collect::<Vec<_>>(), hosts);
    // It is one clock, and what stands between two readings of it is the network's time.
    assert!(sides.iter().all(|side| side.clock_offset_us.unwrap().abs() < 1_000_000), "{sides:?}");
    until("no process is left", || sshd.processes().is_empty());
    assert!(!Path::new(&sshd.folder.path("local-command")).exists());
    let mux = fs::read_dir(&sshd.folder.0).unwrap().flatten();
    assert!(mux.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with("mux-")));
}

#[test]
fn the_program_is_brought_along_to_every_login_shell_and_leaves_nothing() {
    let sshd = Sshd::start("");
    for (name, _) in SHELLS {
        let host = format!("{name}-bare@web");
        let without = sshd.record(&[&AUDIT[..], &["--on", &host]].concat());
        without.failed(5, &["no-agent", "--push brings hostdiag along"]);
        let ran = sshd.record(&[&AUDIT[..], &["--push", "--on", &host]].concat());
        assert_eq!(ran.status, Some(0), "{host}: {}", ran.said);
        assert_eq!(sshd.capture().recordings.len(), 1);
        until("no process is left", || sshd.processes().is_empty());
        assert_eq!(sshd.left(), Vec::<std::path::PathBuf>::new(), "{host}");
    }
}

#[test]
fn tools_begin_together_and_overlap() {
    let sshd = Sshd::start("");
    let ran = sshd.record(&["--plan", "profile", "--duration", "2s", "--on", "dash@web,local"]);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    let capture = sshd.capture();
    let [one, two] = &capture.recordings[..] else { panic!("{}", capture.recordings.len()) };
    // Both are of the same clock. One is late where its CPU is taken by others.
    let (from, to) = (one.started_ms.max(two.started_ms), one.started_ms.min(two.started_ms));
    assert!(from < to + 2000, "{from} {to}");
    assert!(one.elapsed_ms.unwrap() >= 2000 && two.elapsed_ms.unwrap() >= 2000);
}

#[test]
fn what_keeps_from_a_host_is_told() {
    // An account without privileges is not let into a folder as mktemp(1) makes it.
    let sshd = Sshd::start(&everywhere("mode=1777"));
    for (host, says) in [
        ("dash@closed", &["unreachable", "Connection refused", "ssh dash@closed true"][..]),
        ("dash@unknown", &["unreachable", "Host key verification failed", "compare its key"]),
        ("dash@changed", &["unreachable", "somebody else answers"]),
        ("dash@nokey", &["unreachable", "Permission denied (publickey)", "ssh-copy-id"]),
        ("nologin@web", &["This account is currently not available"]),
    ] {
        let ran = sshd.record(&[&AUDIT[..], &["--on", host]].concat());
        assert_eq!(ran.status, Some(5), "{host}: {}", ran.said);
        ran.failed(5, says);
    }
    let plain = ["--plan", "profile", "--duration", "1s", "--on", "plain@web"];
    sshd.record(&plain).failed(5, &["no-privilege", "--sudo", "Nothing was recorded"]);
    sshd.record(&[&plain[..], &["--sudo"]].concat()).failed(5, &["no-sudo"]);
}

#[test]
fn one_host_that_fails_leaves_the_others() {
    let sshd = Sshd::start("");
    let ran = sshd.record(&[&AUDIT[..], &["--on", "dash@web,dash@closed"]].concat());
    ran.failed(5, &["dash@closed"]);
    assert_eq!(sshd.capture().recordings.len(), 1);
}

/// Folders for temporary files with these options, and what the test needs where it was.
fn everywhere(options: &str) -> String {
    let root = root();
    let root = root.display();
    let folders = ["/dev/shm", "/tmp", "/var/tmp"];
    let mounts = folders.map(|folder| format!("mount -t tmpfs -o {options} tmpfs {folder} && ")).concat();
    format!(
        "mkdir /run/root && mount --bind {root} /run/root && {mounts} mkdir -p {root} && \
         mount --bind /run/root {root} && "
    )
}

#[test]
fn folders_that_run_nothing_or_are_full_are_told() {
    // The folder of the account, too: bound onto itself, so that it can have options.
    let home =
        "h=$(getent passwd root | cut -d: -f6) && mount --bind $h $h && mount -o remount,bind,noexec $h && ";
    let sshd = Sshd::start(&(everywhere("noexec") + home));
    let ran = sshd.record(&[&AUDIT[..], &["--push", "--on", "dash-bare@web"]].concat());
    ran.failed(5, &["push-failed", "no folder there to run a program from"]);
    assert_eq!(sshd.left(), Vec::<std::path::PathBuf>::new());
    let sshd = Sshd::start(&everywhere("size=1m"));
    let ran = sshd.record(&[&AUDIT[..], &["--push", "--on", "dash-bare@web"]].concat());
    ran.failed(5, &["push-failed", "No space left on device"]);
    assert_eq!(sshd.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn nothing_is_left_where_the_local_side_is_killed() {
    let sshd = Sshd::start("");
    for args in [&["--on", "dash@web"][..], &["--push", "--on", "bash-bare@web"]] {
        let child = sshd.spawn(&[&["--plan", "profile", "--duration", "10m"], args].concat());
        until("the agent is there", || sshd.processes().iter().any(|command| command.ends_with("agent ")));
        // nsenter has become hostdiag.
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        assert_eq!(finish(child).status, None);
        until("no process is left", || sshd.processes().is_empty());
        assert_eq!(sshd.left(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_signal_ends_all_with_what_there_is() {
    let sshd = Sshd::start("");
    let mut child = sshd.spawn(&["--plan", "offload,profile", "--duration", "10m", "--on", "dash@web,local"]);
    let mut said = String::new();
    // A byte at a time: the rest is read later.
    let mut stderr = child.stderr.take().unwrap();
    until("both begin", || {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
        said.push(byte[0].into());
        said.ends_with("Recording offload, profile... Hit Ctrl-C to end.\n")
    });
    // The start lies a little ahead.
    std::thread::sleep(std::time::Duration::from_secs(1));
    child.stderr = Some(stderr);
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let ran = finish(child);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    assert_eq!(sshd.capture().recordings.len(), 4, "{}", ran.said);
    until("no process is left", || sshd.processes().is_empty());
}
