//! A host before and after its VLAN lost the offloads, each recorded under the same load:
//! the comparison names that first, and the other way round as what was repaired.
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::lab::{PEER, Stack, hostdiag, sendfile};

/// As much at a time as goes through in a moment, also in emulation.
const BYTES: u64 = 4 << 20;

/// Records while a file is sent through VLAN 10 all the time.
#[track_caller]
fn record(stack: &Stack, name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("hostdiag-compare-{}-{name}.hd", std::process::id()));
    let (peer, done) = (stack.peer(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                sendfile(peer, PEER, BYTES);
            }
        });
        let plan = ["record", "--plan", "snapshot,offload,profile,timer-names,funclatency"];
        let asked = ["--functions", "do_sendfile", "--duration", "4s", "--max-overhead", "100"];
        let output = hostdiag().args(plan).args(asked).arg("--output").arg(&path).output().unwrap();
        done.store(true, Ordering::Relaxed);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
    path
}

/// The document, and the exit status.
#[track_caller]
fn compare(a: &Path, b: &Path) -> (Value, Option<i32>) {
    let output = hostdiag().args(["compare", "--format", "json"]).args([a, b]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"));
    (report, output.status.code())
}

#[test]
fn a_vlan_that_lost_its_offloads_is_the_first_cause() {
    let stack = Stack::new();
    let good = record(&stack, "good");
    stack.break_offloads();
    let bad = record(&stack, "bad");
    for (a, b, worse) in [(&good, &bad, "b"), (&bad, &good, "a")] {
        let (report, status) = compare(a, b);
        let first = &report["causes"][0];
        assert_eq!(first["rule"], "offload-send", "{:#}", report["causes"]);
        assert_eq!(first["worse"], worse);
        let settings = first["settings"].as_array().unwrap();
        let vlan = |row: &&Value| row["name"] == "tx-scatter-gather" && row["places"][0]["a"] == "vlan10";
        assert!(settings.iter().any(|row| vlan(&row)), "{settings:#?}");
        assert_eq!((report["verdict"].as_str(), status), (Some("differs"), Some(1)));
    }
    let (same, status) = compare(&bad, &bad);
    assert_eq!((same["causes"].as_array().unwrap().len(), status), (0, Some(0)));
    for path in [good, bad] {
        std::fs::remove_file(path).unwrap();
    }
}
