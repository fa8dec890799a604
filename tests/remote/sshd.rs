//! A sshd of its own, and hostdiag where it is known.
use std::fs::{self, create_dir_all, read_dir};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hostdiag_model::Capture;

/// Only catches hangs.
const HANG: Duration = Duration::from_secs(120);
/// Login shells, each as an account of that name, and with `-bare` behind it one that has
/// no hostdiag.
pub(crate) const SHELLS: [(&str, &str); 5] = [
    ("dash", "/bin/dash"),
    ("bash", "/bin/bash"),
    ("ash", "ash"),
    ("tcsh", "/usr/bin/tcsh"),
    ("fish", "/usr/bin/fish"),
];

/// A folder that is gone afterwards.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root().join(format!("target/remote/{}-{number}", std::process::id()));
        create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A program of so many lines of sh.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.write(name, &format!("#!/bin/bash\n{text}\n"));
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The program under test, small enough to be brought along.
pub(crate) fn program() -> PathBuf {
    static STRIPPED: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let strip = || {
        if let Some(program) = std::env::var_os("HOSTDIAG_PROGRAM") {
            return program.into();
        }
        let stripped = root().join("target/remote/hostdiag");
        let beside = stripped.with_extension(std::process::id().to_string());
        run("strip", &["-o", beside.to_str().unwrap(), env!("CARGO_BIN_EXE_hostdiag")]);
        fs::rename(&beside, &stripped).unwrap();
        stripped
    };
    STRIPPED.get_or_init(strip).clone()
}

/// The program under test as if it were of another version, of as many characters.
pub(crate) fn of_version(folder: &Folder, version: &str) -> PathBuf {
    let ours = env!("CARGO_PKG_VERSION");
    assert_eq!(ours.len(), version.len());
    let mut bytes = fs::read(program()).unwrap();
    let near =
        |bytes: &[u8], at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let found: Vec<usize> = (0..bytes.len() - ours.len())
        .filter(|at| bytes[*at..].starts_with(ours.as_bytes()))
        .filter(|at| !near(&bytes, at.checked_sub(1)) && !near(&bytes, Some(at + ours.len())))
        .collect();
    found.into_iter().for_each(|at| bytes[at..at + ours.len()].copy_from_slice(version.as_bytes()));
    let path = folder.0.join(format!("hostdiag-{version}"));
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let said = Command::new(&path).arg("--version").output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&said).trim(), format!("hostdiag {version}"));
    path
}

#[track_caller]
pub(crate) fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a run of hostdiag came to.
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) said: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self { status: output.status.code(), said: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    /// It failed with this status, and said that.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32, says: &[&str]) {
        assert_eq!(self.status, Some(status), "{}", self.said);
        for text in says {
            assert!(self.said.contains(text), "{text:?} is not in:\n{}", self.said);
        }
    }
}

/// Waits for the end of what was started.
#[track_caller]
pub(crate) fn finish(mut child: Child) -> Ran {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > HANG {
            child.kill().unwrap();
            panic!("it does not end: {}", Ran::of(&child.wait_with_output().unwrap()).said);
        }
        sleep(Duration::from_millis(10));
    }
    Ran::of(&child.wait_with_output().unwrap())
}

#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < HANG, "waited in vain until {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A sshd on a port of its own.
pub(crate) struct Sshd {
    pub(crate) folder: Folder,
    child: Child,
    port: u16,
    /// The program on this side.
    pub(crate) local: PathBuf,
}

impl Sshd {
    /// One that accepts the key of the test. `mounts` are commands of sh before it is
    /// started, where its mounts are private.
    pub(crate) fn start(mounts: &str) -> Self {
        let folder = Folder::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        accounts(&folder);
        keys(&folder);
        let config = folder.write("sshd_config", &server(&folder, port));
        folder.write("home/.ssh/config", &client(&folder, port));
        let passwd = folder.path("passwd");
        let sshd = root().join("target/remote/sshd/usr/sbin/sshd");
        let line = format!(
            "mount --bind {passwd} /etc/passwd && mount -t tmpfs tmpfs /run && mkdir /run/sshd && {mounts} \
             exec {} -D -e -f {config}",
            sshd.display()
        );
        let log = fs::File::create(folder.path("log")).unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &line])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut sshd = Self { folder, child, port, local: program() };
        until("sshd listens", || {
            let ended = sshd.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(sshd.folder.path("log")).unwrap());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        sshd
    }

    /// hostdiag where this sshd is known, to write out.hd.
    fn hostdiag(&self, subcommand: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([&format!("--mount=/proc/{}/ns/mnt", self.child.id()), "--"])
            .arg(&self.local)
            .args([subcommand, "-o", &self.output()])
            .args(args)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Starts `hostdiag record`.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.hostdiag("record", args).spawn().unwrap()
    }

    /// Runs `hostdiag compare` to the end; what it printed, as JSON.
    #[track_caller]
    pub(crate) fn compare(&self, args: &[&str]) -> (Ran, serde_json::Value) {
        let mut child =
            self.hostdiag("compare", args).args(["--format", "json"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let ran = finish(child);
        let text = reader.join().unwrap();
        (ran, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Runs it to the end.
    #[track_caller]
    pub(crate) fn record(&self, args: &[&str]) -> Ran {
        finish(self.spawn(args))
    }

    /// The program on the other side from now on.
    pub(crate) fn install(&self, program: &Path) {
        let installed = self.folder.path("bin/hostdiag");
        fs::remove_file(&installed).unwrap();
        symlink(program, installed).unwrap();
    }

    fn output(&self) -> String {
        self.folder.path("out.hd")
    }

    /// What was written.
    pub(crate) fn capture(&self) -> Capture {
        let bytes = fs::read(self.output()).unwrap();
        Capture::read(&mut &bytes[..]).unwrap()
    }

    /// Processes that its sessions have started and that are still there, by their command.
    pub(crate) fn processes(&self) -> Vec<String> {
        let mark = format!("HOSTDIAG_LAB={}", self.port);
        let of = |pid: &str, file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let pids =
            read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let ours = pids
            .filter(|pid| of(pid, "environ").split(|byte| *byte == 0).any(|word| word == mark.as_bytes()));
        let command = |pid: String| String::from_utf8_lossy(&of(&pid, "cmdline")).replace('\0', " ");
        ours.map(command).filter(|command| !command.is_empty()).collect()
    }

    /// Folders that a program was brought to and that are still there.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let inside = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        let folders = ["dev/shm", "tmp", "var/tmp", "run"].map(|folder| inside.join(folder));
        let folders = folders.into_iter().chain([self.folder.0.join("home")]);
        let entries = folders.flat_map(|folder| read_dir(folder).into_iter().flatten().flatten());
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".hostdiag.")).collect()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn accounts(folder: &Folder) {
    create_dir_all(folder.path("bin")).unwrap();
    symlink(program(), folder.path("bin/hostdiag")).unwrap();
    symlink("/usr/bin/busybox", folder.path("bin/ash")).unwrap();
    let home = folder.path("home");
    create_dir_all(format!("{home}/.ssh")).unwrap();
    let line = |name: &str, shell: &str| {
        let shell =
            if shell.starts_with('/') { shell.to_owned() } else { folder.path(&format!("bin/{shell}")) };
        format!("{name}:x:0:0:{name}:{home}:{shell}\n")
    };
    let users = SHELLS.iter().map(|(name, shell)| line(name, shell) + &line(&format!("{name}-bare"), shell));
    let users: String = users.collect();
    // The first of the number 0 is whom ssh takes us for.
    let text = line("root", "/bin/sh")
        + &users
        + &line("nologin", "/usr/sbin/nologin")
        + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n\
           plain:x:65532:65534:plain:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
    folder.write("passwd", &text);
}

fn keys(folder: &Folder) {
    for name in ["host", "user", "stranger"] {
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &folder.path(name)]);
    }
    let public = |name: &str| fs::read_to_string(folder.path(&format!("{name}.pub"))).unwrap();
    folder.write("authorized_keys", &public("user"));
    // Of another key than it has.
    folder.write("known_hosts", &format!("web {}changed {}", public("host"), public("stranger")));
}

fn server(folder: &Folder, port: u16) -> String {
    let at = folder.0.display();
    let bare: String = SHELLS.iter().map(|(name, _)| format!("{name}-bare,")).collect();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized_keys\n\
         PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nMaxStartups 100\n\
         Match User {bare}nologin\n  SetEnv HOSTDIAG_LAB={port} PATH=/usr/bin:/bin\n\
         Match User *\n  SetEnv HOSTDIAG_LAB={port} PATH={at}/bin:/usr/bin:/bin\n"
    )
}

/// A configuration that breaks everything that is not set on the command line.
fn client(folder: &Folder, port: u16) -> String {
    let at = folder.0.display();
    format!(
        "Host nokey\n  IdentityFile {at}/stranger\n  HostKeyAlias web\nHost closed\n  Port 1\n\
         Host unknown\n  HostKeyAlias unknown\nHost changed\n  HostKeyAlias changed\n\
         Host *\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias web\n  \
         IdentitiesOnly yes\n  UserKnownHostsFile {at}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  \
         StdinNull yes\n  RequestTTY force\n  ForwardAgent yes\n  ControlMaster auto\n  ControlPath {at}/mux-%C\n  \
         ControlPersist 60\n  RemoteCommand false\n  PermitLocalCommand yes\n  LocalCommand touch {at}/local-command\n\
         Host * !nokey\n  IdentityFile {at}/user\n"
    )
}
