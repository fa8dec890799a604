//! `hostdiag compare` of hosts that are recorded now.
use serde_json::Value;

use crate::sshd::{Ran, Sshd};

const SHORT: [&str; 4] = ["--plan", "snapshot", "--duration", "1s"];

/// Compares two hosts whose work this command counts.
fn counted(sshd: &Sshd, command: &str) -> (Ran, Value) {
    sshd.compare(&[&SHORT[..], &["dash@web1", "bash@web2", "--work-cmd", command]].concat())
}

#[test]
fn a_command_counts_the_work() {
    let sshd = Sshd::start("");
    // Counts milliseconds, of the second host thrice.
    let counter = "case $HOSTDIAG_HOST-$HOSTDIAG_SIDE in web1-A) n=1 ;; web2-B) n=3 ;; *) exit 1 ;; esac; \
                   echo $(($(date +%s%N) / 1000000 * n))";
    let (ran, report) = counted(&sshd, counter);
    assert!([Some(0), Some(1)].contains(&ran.status), "{}", ran.said);
    let [basis, times] = report["work"]["basis"]["per-unit"].as_array().unwrap().as_slice() else {
        panic!("{}", report["work"])
    };
    assert_eq!(basis, "counted");
    assert!((2.5..3.5).contains(&times.as_f64().unwrap()), "{times}");
    // What was counted is in what is kept.
    let sides: Vec<_> = sshd.capture().recordings.into_iter().filter_map(|one| one.side).collect();
    assert_eq!(sides.len(), 2);
    assert!(sides.iter().all(|side| side.work.unwrap().over_us > 500_000), "{sides:?}");
}

#[test]
fn what_does_not_count_is_told() {
    let sshd = Sshd::start("");
    let (ran, _) = counted(&sshd, "echo no such counter >&2; exit 3");
    ran.failed(2, &["work-failed", "dash@web1: ", "exit status: 3: no such counter"]);
    assert!(!ran.said.contains("Recording"), "{}", ran.said);
    // Seen at the end alone; what was recorded is compared all the same.
    let (ran, report) = counted(&sshd, "echo $((4000000000 - $(date +%s)))");
    ran.failed(2, &["work-failed", "went down, from"]);
    assert_eq!(report["schema"], "hostdiag.compare");
    assert_eq!(report["work"]["basis"], "unknown");
}
