//! A CPU goes and comes back while `hostdiag profile` samples it.
use std::fs;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::lab::{Profiled, Tracing};

const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";

/// The second CPU, which is there again whatever happens.
struct Second;

impl Second {
    fn online(on: bool) {
        fs::write(ONLINE, if on { "1" } else { "0" }).unwrap();
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = fs::write(ONLINE, "1");
    }
}

#[test]
fn profile_samples_a_cpu_that_comes_back() {
    let _back = Second;
    let mut process = Profiled::new(&["burn", "1500", "1"]);
    let tracing = Tracing::start(&["profile", "--format", "json", "-F", "99", "-c", "1", "-i", "200ms"]);
    Second::online(false);
    Second::online(true);
    let mut second = CpuSet::new();
    second.set(1).unwrap();
    sched_setaffinity(Pid::from_raw(process.pid().cast_signed()), &second).unwrap();
    process.run();
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    let stacks = traced.stacks();
    let of_process = stacks.iter().filter(|stack| stack.key.pid == Some(process.pid()));
    let samples: u64 = of_process.map(|stack| stack.count).sum();
    // It ran there after the CPU was back, so the event that went with it took none.
    assert!(samples > 10, "{samples} samples: {}", traced.said);
    let samples = traced.accounting().samples.unwrap();
    assert!(samples.cpu_ms > 500, "{samples:?}");
}
