//! More processes than `hostdiag funclatency --by pid` has groups.
use std::process::Command;

use hostdiag_model::trace::Group;

use crate::lab::latency::record;

/// Each of so many processes makes one call.
const PROCESSES: u64 = 1100;

#[test]
fn funclatency_by_pid_counts_those_without_a_group_too() {
    let name = format!("many-{}", std::process::id());
    let script = format!(
        "printf {name} >/proc/self/comm; i=0; while [ $i -lt {PROCESSES} ]; do \
         (times >/dev/null); i=$((i+1)); done"
    );
    // A shell's redirection is its own: /proc/self is the shell.
    let traced = record(&["--comm", &name, "--by", "pid", "c:times"], || {
        assert!(Command::new("dash").args(["-c", &script]).status().unwrap().success());
    });
    let room = u64::from(traced.trace().head.storage.unwrap().histograms) - 1;
    let latencies = traced.latencies();
    let (others, own): (Vec<_>, Vec<_>) =
        latencies.iter().partition(|latency| latency.group == Some(Group::Other));
    assert_eq!(own.len() as u64, room);
    let calls = |list: &[&hostdiag_model::trace::Latency]| {
        list.iter().map(|latency| latency.histogram.count()).sum::<u64>()
    };
    assert_eq!((calls(&own), calls(&others)), (room, PROCESSES - room), "{}", traced.said);
    assert!(traced.said.contains("timed, but not apart"), "{}", traced.said);
}
