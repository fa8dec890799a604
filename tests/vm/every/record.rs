//! `hostdiag record` on a host that is busy: what stands out is timed, and from where it
//! is called.
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hostdiag_model::Capture;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{hostdiag, wait_until};

/// Reads what the kernel writes anew for each reading, until told to end.
fn busy(end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        fs::read("/proc/self/maps").unwrap();
    }
}

#[test]
fn record_times_what_stands_out() {
    let path = std::env::temp_dir().join("record.hd");
    let end = AtomicBool::new(false);
    let ran = thread::scope(|scope| {
        scope.spawn(|| busy(&end));
        let path = path.to_str().unwrap();
        // Emulated, a probe costs a hundred times more.
        let args = ["record", "--duration", "3s", "--max-overhead", "100", "-o", path];
        let ran = hostdiag().args(args).output().unwrap();
        end.store(true, Ordering::Relaxed);
        ran
    });
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{said}");
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let capture = Capture::read(&mut &bytes[..]).unwrap();
    let commands: Vec<&str> = capture.recordings.iter().map(|recording| recording.command.as_str()).collect();
    assert_eq!(commands[4..], ["funclatency", "stackcount"], "{said}");
    let mut patterns = Vec::new();
    for command in ["profile", "timer-names", "funclatency", "stackcount"] {
        let (_, trace) = capture.traces(command).next().unwrap();
        let events: u64 = trace.windows.iter().map(|window| window.payload.events()).sum();
        assert!(events > 0, "{command}: {said}");
        patterns.push(trace.head.asked.patterns.clone());
    }
    // How a file of /proc is read is among it, by whatever name.
    assert_eq!(patterns[2], patterns[3], "{said}");
    assert!(patterns[2].iter().any(|name| name.contains("read") || name.contains("maps")), "{said}");
}

/// What takes long.
mod long {
    use super::*;

    /// Programs of ours that are loaded.
    fn ours() -> usize {
        let names = aya::programs::loaded_programs().filter_map(Result::ok);
        names.filter(|program| program.name_as_str().is_some_and(|name| name == "sample")).count()
    }

    #[test]
    fn record_ends_on_ctrl_c_with_what_there_is() {
        let path = std::env::temp_dir().join("interrupted.hd");
        let before = ours();
        let args = ["record", "--duration", "10m", "--max-overhead", "100", "-o", path.to_str().unwrap()];
        let mut child = hostdiag().args(args).stderr(Stdio::piped()).spawn().unwrap();
        // All have begun once the audit is kept, which takes no time; the others go on.
        while fs::read(&path).map_or(true, |bytes| bytes.is_empty()) {
            assert!(child.try_wait().unwrap().is_none(), "it has ended before");
            thread::sleep(Duration::from_millis(20));
        }
        assert!(ours() > before);
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
        let ran = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{said}");
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let capture = Capture::read(&mut &bytes[..]).unwrap();
        let mut commands: Vec<&str> =
            capture.recordings.iter().map(|recording| recording.command.as_str()).collect();
        commands.sort_unstable();
        // The functions would have come after.
        assert_eq!(commands, ["offload", "profile", "snapshot", "timer-names"], "{said}");
        assert!(capture.recordings.iter().all(|recording| recording.elapsed_ms.is_some()), "{said}");
        wait_until("nothing is loaded any more", || ours() == before);
    }
}
