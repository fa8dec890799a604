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

/// Hosts by these accounts, under names of their own.
fn hosts(accounts: [&str; 2], name: &str) -> String {
    format!("{}@{name}1,{}@{name}2", accounts[0], accounts[1])
}

#[test]
fn groups_are_compared_and_one_host_that_fails_leaves_the_others() {
    let sshd = Sshd::start("");
    let good = format!("--group=good={}", hosts(["dash", "bash"], "good"));
    let bad = |hosts: &str| format!("--group=bad={hosts}");
    let names = |side: &Value| -> Vec<String> {
        let hosts = side["hosts"].as_array().unwrap();
        hosts.iter().map(|host| host["target"].as_str().unwrap().to_owned()).collect()
    };
    let (ran, report) = sshd.compare(&[&SHORT[..], &[&good, &bad(&hosts(["ash", "fish"], "bad"))]].concat());
    assert!([Some(0), Some(1)].contains(&ran.status), "{}", ran.said);
    assert_eq!((&report["a"]["name"], &report["b"]["name"]), (&"good".into(), &"bad".into()));
    assert_eq!(names(&report["a"]), ["dash@good1", "bash@good2"]);
    assert_eq!(names(&report["b"]), ["ash@bad1", "fish@bad2"]);
    // One machine has no setting that all of it has and all of it has not, but what its
    // modules count and show as parameters.
    let others = report["others"].as_array().unwrap().iter().filter(|one| one["area"] != "module");
    assert_eq!(others.count(), 0, "{}", report["others"]);
    assert!(report["trust"]["overlap"].as_f64().is_some(), "{}", report["trust"]);

    let (ran, report) = sshd.compare(&[&SHORT[..], &[&good, &bad("ash@bad1,fish@closed")]].concat());
    ran.failed(5, &["fish@closed: ", "Connection refused", "unreachable"]);
    assert!(!ran.said.contains("bad1: "), "{}", ran.said);
    assert_eq!((names(&report["a"]).len(), names(&report["b"])), (2, vec!["ash@bad1".to_owned()]));

    // Of a group without any there is nothing to compare.
    let (ran, report) = sshd.compare(&[&SHORT[..], &[&good, &bad("fish@closed")]].concat());
    ran.failed(5, &["fish@closed", "unreachable"]);
    assert_eq!(report, Value::Null);
}
