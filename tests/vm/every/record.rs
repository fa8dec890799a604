//! `hostdiag record` on a host that is busy: what stands out is timed, and from where it
//! is called.
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hostdiag_model::Capture;

use crate::lab::hostdiag;

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
