//! How much work a host does, by a counter that a command of the user's prints. The
//! command runs here: an agent runs nothing.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hostdiag_model::recording::WorkDone;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::target::{Place, Target};
use super::words;
use crate::fail::{Code, Failure};

/// Longest time that one reading takes: one by ssh logs in first.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of what it prints, in bytes: a number is short.
const PRINTED: u64 = 4096;
/// How often is looked whether it has ended.
const BEAT: Duration = Duration::from_millis(5);

/// A counter at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    value: f64,
    at: Instant,
}

/// Tries the command for each host, before anything is started there.
///
/// # Errors
/// `work-failed`: it does not print a number.
pub fn check(command: &str, targets: &[Target]) -> Result<(), Failure> {
    targets.iter().try_for_each(|target| read(command, target).map(|_| ()))
}

/// Runs the command for a host, and takes the number that it prints.
///
/// # Errors
/// `work-failed`: it cannot be started, fails, takes too long, or prints something else.
pub(super) fn read(command: &str, target: &Target) -> Result<Reading, Failure> {
    within(PATIENCE, command, target)
}

fn within(patience: Duration, command: &str, target: &Target) -> Result<Reading, Failure> {
    let before = Instant::now();
    let text = printed(command, target, patience).map_err(|why| failed(target, &why))?;
    let number = text.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    let value = number.ok_or_else(|| match text.trim() {
        "" => failed(target, "it printed nothing, where a number was expected"),
        other => failed(target, &format!("it printed {:?}, which is no number", words::shortened(other))),
    })?;
    // The counter was read somewhere between the start and the end.
    Ok(Reading { value, at: before + before.elapsed() / 2 })
}

impl Reading {
    /// What was done from this reading to a later one.
    ///
    /// # Errors
    /// `work-failed`: it counts down.
    pub(super) fn until(self, later: Self, target: &Target) -> Result<WorkDone, Failure> {
        if later.value < self.value {
            let why = format!("its counter went down, from {} to {}", self.value, later.value);
            return Err(failed(target, &why));
        }
        let over = later.at.saturating_duration_since(self.at);
        Ok(WorkDone {
            // Saturates where it is too large.
            thousandths: ((later.value - self.value) * 1000.0).round() as u64,
            over_us: u64::try_from(over.as_micros()).unwrap_or(u64::MAX),
        })
    }
}

fn failed(target: &Target, why: &str) -> Failure {
    Failure::new(Code::WorkFailed, format!("{}: the command of --work-cmd failed: {why}", target.name))
        .hint("it runs here, by sh, and prints a number that only grows: hostdiag explain work-failed")
}

/// What the command prints, or why it does not.
fn printed(command: &str, target: &Target, patience: Duration) -> Result<String, String> {
    let host = match &target.place {
        Place::Local => "localhost",
        Place::Ssh { host, .. } => host,
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("HOSTDIAG_HOST", host).env("HOSTDIAG_SIDE", &target.group);
    // A group of its own: Ctrl-C is for us, and all of it can be ended.
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = shell.spawn().map_err(|error| format!("sh: {error}"))?;
    let (stdout, stderr) = (kept(child.stdout.take()), kept(child.stderr.take()));
    let ended = ended(&mut child, patience);
    if ended.is_none() {
        kill(&mut child);
    }
    let status = ended.ok_or_else(|| format!("it took longer than {} s", patience.as_secs_f64()))?;
    // What it left running may have these open still.
    let said = |from: mpsc::Receiver<String>| from.recv_timeout(patience / 10).unwrap_or_default();
    if !status.success() {
        let said = said(stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        let last = last.map(|last| format!(": {}", words::shortened(last))).unwrap_or_default();
        return Err(format!("{status}{last}"));
    }
    Ok(said(stdout))
}

/// The beginning of what it says, once that has ended.
fn kept(from: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (to, kept) = mpsc::sync_channel(1);
    if let Some(mut from) = from {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What cannot be read is no number.
            let _ = from.by_ref().take(PRINTED).read_to_end(&mut bytes);
            let _ = io::copy(&mut from, &mut io::sink());
            let _ = to.send(String::from_utf8_lossy(&bytes).into_owned());
        });
    }
    kept
}

fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(BEAT);
    }
    None
}

/// With all that it has started.
fn kill(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> Target {
        Target::parse("bad", name).unwrap()
    }

    #[test]
    fn a_number_is_taken_for_each_host() {
        let value = |command: &str, host: &str| read(command, &target(host)).unwrap().value;
        assert_eq!(value("echo 41", "web17"), 41.0);
        assert_eq!(value("printf 1.5e3", "web17"), 1500.0);
        let of = r#"[ "$HOSTDIAG_HOST $HOSTDIAG_SIDE" = "web17 bad" ] && echo 7"#;
        assert_eq!(value(of, "root@web17:2222"), 7.0);
        assert_eq!(value(r#"[ "$HOSTDIAG_HOST" = localhost ] && echo 8"#, "local"), 8.0);
    }

    #[test]
    fn what_is_no_number_is_told() {
        for (command, says) in [
            ("echo many; exit 3", "exit status: 3"),
            ("echo no such counter >&2; false", "exit status: 1: no such counter"),
            ("true", "printed nothing"),
            ("echo many", "\"many\", which is no number"),
            ("echo 1; echo 2", "which is no number"),
            ("echo -5", "which is no number"),
            ("echo inf", "which is no number"),
        ] {
            let failure = read(command, &target("web17")).unwrap_err();
            assert_eq!(failure.code, Code::WorkFailed);
            assert!(failure.message.starts_with("web17: ") && failure.message.contains(says), "{failure}");
        }
        // With what it has started, which would keep its stdout open.
        for command in ["sleep 1000", "sleep 1000 & wait", "yes"] {
            let failure = within(Duration::from_millis(300), command, &target("web17")).unwrap_err();
            assert!(failure.message.contains("took longer than 0.3 s"), "{failure}");
        }
    }

    #[test]
    fn work_is_what_lies_between_two_readings() {
        let at = Instant::now();
        let reading = |value, ms| Reading { value, at: at + Duration::from_millis(ms) };
        let done = reading(100.5, 0).until(reading(8650.5, 2000), &target("web17"));
        assert_eq!(done.unwrap(), WorkDone { thousandths: 8_550_000, over_us: 2_000_000 });
        let down = reading(100.0, 0).until(reading(99.0, 1000), &target("web17")).unwrap_err();
        assert!(down.message.contains("from 100 to 99"), "{down}");
    }
}
