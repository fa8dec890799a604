//! `hostdiag funclatency` on the machine at hand: user functions work on every
//! kernel.
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::hostdiag;
use crate::lab::latency::{between, complete, record, time};

const LEVELS: u64 = 20;
const PAUSE: Duration = Duration::from_micros(300);

/// Calls itself, and pauses at each level; least and most that each call below
/// this one takes, in ns.
#[inline(never)]
fn goes_down(levels: u64, times: &mut (Vec<u64>, Vec<u64>)) {
    if levels > 0 {
        let start = Instant::now();
        goes_down(black_box(levels - 1), times);
        times.0.push(PAUSE.as_nanos() as u64 * levels);
        times.1.push(start.elapsed().as_nanos() as u64);
    }
    sleep(PAUSE);
}

/// Of its own, because tests run at the same time.
#[inline(never)]
fn is_called_by_many(number: u64) -> u64 {
    sleep(PAUSE);
    black_box(number)
}

fn pattern(function: &str) -> String {
    format!("{}:*{function}*", std::env::current_exe().unwrap().display())
}

/// A function of a program that calls itself 20 levels deep: every level by its
/// own start.
#[test]
fn funclatency_times_a_function_that_calls_itself() {
    let process = std::process::id().to_string();
    for only in [&["--pid", &process][..], &[]] {
        let mut times = (Vec::new(), Vec::new());
        let traced = time(&[only, &[&pattern("goes_down")]].concat(), || {
            for _ in 0..5 {
                let start = Instant::now();
                goes_down(LEVELS - 1, &mut times);
                times.0.push(PAUSE.as_nanos() as u64 * LEVELS);
                times.1.push(start.elapsed().as_nanos() as u64);
            }
        });
        assert_eq!(traced.mechanisms(), ["uprobe"], "{}", traced.said);
        between(&traced.latency(None), times.0, times.1);
        complete(&traced);
    }
}

/// What is printed is what the recording shows again, also in bcc's layout.
#[test]
fn funclatency_prints_what_it_keeps() {
    let process = std::process::id().to_string();
    let file = std::env::temp_dir().join(format!("hostdiag-funclatency-{process}.hd"));
    let path = file.to_str().unwrap();
    for layout in [&["-u", "-T", "-i", "100ms"][..], &["--compat", "bcc", "-F"]] {
        let function = pattern("goes_down");
        let args = [&["funclatency", "--pid", &process, "--output", path, &function], layout].concat();
        let mut command = hostdiag();
        let child = command.args(args).args(["--duration", "400ms"]).stdout(std::process::Stdio::piped());
        let child = child.spawn().unwrap();
        // In bcc's layout nothing tells when it traces, so there are calls all the time.
        let going = AtomicBool::new(true);
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                while going.load(Ordering::Relaxed) {
                    goes_down(3, &mut (Vec::new(), Vec::new()));
                }
            });
            let output = child.wait_with_output().unwrap();
            going.store(false, Ordering::Relaxed);
            output
        });
        let report = hostdiag().args(["report", path]).output().unwrap();
        fs::remove_file(&file).unwrap();
        let [printed, again] = [output.stdout, report.stdout].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(again, printed);
        assert!(printed.contains("distribution"), "{printed}");
    }
}

/// Groups are made as they are met, by threads at the same time.
#[test]
fn funclatency_by_cpu_adds_up() {
    let process = std::process::id().to_string();
    let traced = record(&["--pid", &process, "--by", "cpu", &pattern("is_called_by_many")], || {
        let work = || (0..10).for_each(|number| assert_eq!(is_called_by_many(number), number));
        let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(traced.latency(None).count(), 80);
    complete(&traced);
}
