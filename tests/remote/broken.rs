//! What is not what it says: a `ssh` of the test's own, in front of the system's.
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use hostdiag_model::Capture;

use crate::sshd::{Folder, Ran, finish, program};

/// Of sh: what an agent begins with, and a frame of a message.
const SAY: &str = r#"
mark() { printf '\0\1hostdiag agent\1\0\n'; }
frame() { printf '{'; printf "\\x$(printf %x $((${#1} >> 24)))\\x$(printf %x $((${#1} >> 16 & 255)))\\x$(printf %x $((${#1} >> 8 & 255)))\\x$(printf %x $((${#1} & 255)))"; printf %s "$1"; }
hello() { mark; frame '{"type":"hello","protocol":1,"tool":"0.1.0","machine":"x86_64","root":true}'; for i in 1 2 3 4 5; do frame '{"type":"time","now_us":1}'; done; }
[ "$1" != -V ] || { echo OpenSSH_9.2p1 >&2; exit 0; }
"#;

/// Runs `record` with such a ssh.
fn record(folder: &Folder, ssh: &str, args: &[&str]) -> Ran {
    folder.script("bin/ssh", &format!("{SAY}{ssh}"));
    let path = format!("{}:/usr/bin:/bin", folder.path("bin"));
    let mut command = Command::new("prlimit");
    // What it may take in all, whatever it is sent.
    command.args(["--data=1073741824", "--"]).arg(program());
    command.args(["record", "--plan", "offload", "-o", &folder.path("out.hd")]).args(args);
    finish(command.env("PATH", path).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

#[track_caller]
fn fails(ssh: &str, says: &[&str]) {
    let ran = record(&Folder::new(), ssh, &["--on", "web17"]);
    ran.failed(5, says);
    assert!(ran.said.len() < 2000 && !ran.said.contains('\x1b'), "{}", ran.said);
}

#[test]
fn ssh_is_called_with_what_is_expected() {
    let folder = Folder::new();
    let keep = format!("printf '%s\\n' \"$@\" >> {}", folder.path("argv"));
    let hosts = "web17,root@10.0.0.1:2222,[fe80::1]:22";
    record(&folder, &keep, &["--on", "web17"]).failed(5, &["web17"]);
    let options = "-T -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 \
                   -o ForwardAgent=no -o ForwardX11=no -o ClearAllForwardings=yes -o Tunnel=no \
                   -o PermitLocalCommand=no -o RequestTTY=no -o EscapeChar=none -o ControlMaster=no \
                   -o ControlPath=none -o LogLevel=ERROR -o RemoteCommand=none -o StdinNull=no \
                   -o SessionType=default -o ForkAfterAuthentication=no";
    let argv = || fs::read_to_string(folder.path("argv")).unwrap().replace('\n', " ");
    assert_eq!(argv(), format!("{options} -- web17 hostdiag agent "));
    for (host, with) in [
        ("root@10.0.0.1:2222", "-p 2222 -l root -- 10.0.0.1 sudo -n hostdiag agent "),
        ("[fe80::1]", "-- fe80::1 sudo -n hostdiag agent "),
    ] {
        fs::remove_file(folder.path("argv")).unwrap();
        record(&folder, &keep, &["--sudo", "--on", host]).failed(5, &[]);
        assert_eq!(argv(), format!("{options} {with}"));
    }
    fs::remove_file(folder.path("argv")).unwrap();
    record(&folder, &keep, &["--push", "--on", hosts]).failed(5, &[]);
    assert_eq!(argv().matches("exec /bin/sh -c 'umask 077;").count(), 3);
}

#[test]
fn what_is_no_host_starts_nothing() {
    let folder = Folder::new();
    let ssh = format!("touch {}", folder.path("started"));
    for host in ["-oProxyCommand=touch x", "a b", "a;b", "a\nb", "-V", "$(id)"] {
        let ran = record(&folder, &ssh, &[&format!("--on={host}")]);
        ran.failed(2, &["bad-target", "a host is [user@]host[:port]"]);
    }
    assert!(!Path::new(&folder.path("started")).exists() && !Path::new(&folder.path("out.hd")).exists());
}

#[test]
fn silence_ends() {
    std::thread::scope(|scope| {
        scope.spawn(|| fails("exec sleep 1000", &["web17: it has said nothing for 30 s"]));
        scope.spawn(|| fails("yes >&2", &["web17: it has said nothing for 30 s"]));
        scope.spawn(|| fails("hello; exec sleep 1000", &["web17: it has said nothing for 15 s"]));
    });
}

#[test]
fn death_is_told() {
    fails(
        "hello; echo 'Killed by the \x1b[2J kernel' >&2; exit 137",
        &["it went away in the middle", "Killed by"],
    );
    fails("exit 1", &["no connection"]);
}

#[test]
fn what_is_no_agent_is_no_danger() {
    fails("yes", &["it said more than 65536 bytes before it began: y"]);
    fails("tr '\\0' x </dev/zero", &["it said more than 65536 bytes"]);
    fails("mark; yes", &["a frame of unknown kind 0x79"]);
    fails("mark; printf '{\\xff\\xff\\xff\\xff'; exec sleep 100", &["a frame of 4294967295 bytes"]);
    fails("mark; printf '{\\0\\0\\1\\0{}'", &["web17"]);
    fails("mark; frame '{\"type\":\"time\",\"x\":'$(printf '[%.0s' {1..60000})", &["recursion limit"]);
    fails("mark; frame '{\"type\":\"reboot\"}'", &["it said what is no reply"]);
    fails("mark; frame '{\"type\":\"done\"}'", &["it said what nobody asked for"]);
}

#[test]
fn a_gigabyte_is_cut_off() {
    let chunk = "printf '#\\0\\x10\\0\\0'; head -c 1048576 /dev/zero";
    fails(&format!("hello; while {chunk}; do :; done"), &["it sent more than 128 MiB"]);
}

#[test]
fn a_damaged_recording_is_told() {
    let ssh = "hello; frame '{\"type\":\"ready\"}'; printf '#\\0\\0\\0\\2{}'; frame '{\"type\":\"part\",\"tool\":\"offload\"}'; exec sleep 100";
    fails(ssh, &["its recording of offload is damaged"]);
}

#[test]
fn versions_and_architectures_are_told() {
    let old = "mark; frame '{\"type\":\"hello\",\"protocol\":1,\"tool\":\"7.3.0\",\"machine\":\"x86_64\",\"root\":true}'; exec sleep 100";
    fails(old, &["hostdiag 7.3.0 is there, 0.1.0 is here", "version-skew"]);
    fails("echo \"error: unrecognized subcommand 'agent'\" >&2; exit 2", &["too old", "version-skew"]);
    let ran = record(
        &Folder::new(),
        "printf '\\nhostdiag push: aarch64\\n'; exec sleep 100",
        &["--push", "--on", "web17"],
    );
    ran.failed(5, &["web17: the host is aarch64, this hostdiag is for x86_64", "push-failed"]);
}

#[test]
fn sudo_that_asks_is_told() {
    fails("echo 'sudo: a password is required' >&2; exit 1", &["no-sudo", "nobody is there to type it"]);
}

/// A host of which some is there keeps it.
#[test]
fn what_came_before_it_broke_is_kept() {
    let folder = Folder::new();
    let record_here = Command::new(program()).args(["offload", "--format", "json"]).output().unwrap();
    let length = record_here.stdout.len();
    fs::write(folder.path("offload.hd"), &record_here.stdout).unwrap();
    let head = format!(
        "#\\x{:x}\\x{:x}\\x{:x}\\x{:x}",
        length >> 24,
        length >> 16 & 255,
        length >> 8 & 255,
        length & 255
    );
    let ssh = format!(
        "hello; frame '{{\"type\":\"ready\"}}'; printf '{head}'; cat {}; \
         frame '{{\"type\":\"part\",\"tool\":\"offload\"}}'; sleep 1; exit 1",
        folder.path("offload.hd")
    );
    record(&folder, &ssh, &["--on", "web17"]).failed(5, &["it went away in the middle", "1 recordings in"]);
    let bytes = fs::read(folder.path("out.hd")).unwrap();
    assert_eq!(Capture::read(&mut &bytes[..]).unwrap().recordings[0].command, "offload");
}
