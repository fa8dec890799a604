//! Pages for browsers: what is in them, to the letter. Their style and script are read
//! by a browser (`scripts/browser`), not here.
use std::fs;
use std::process::Command;

use crate::root;

const REPORT: [&str; 10] = [
    "recordings/article-stable",
    "recordings/trace/vfs-stable",
    "recordings/trace/read-latency-stable",
    "recordings/trace/push-stable",
    "recordings/trace/timers-oldest",
    "recordings/trace/timers-expire-stable",
    "recordings/trace/read-hist-stable",
    "cli/input/repair",
    "cli/input/undo",
    "cli/input/history",
];

fn page(args: &[&str]) -> String {
    let mut hostdiag = Command::new(env!("CARGO_BIN_EXE_hostdiag"));
    let output = hostdiag.args(args).args(["--format", "html"]).current_dir(root()).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What is between its style and its script, an element a line.
fn content(page: &str) -> String {
    let start = page.find("<body>").unwrap();
    let end = page.rfind("<script>").unwrap();
    page[start..end].replace("><", ">\n<") + "\n"
}

/// `TRYCMD=overwrite` blesses it, as all sessions.
fn is_as_kept(name: &str, page: &str) {
    let path = root().join(format!("tests/cli/html/{name}.html"));
    if std::env::var_os("TRYCMD").is_some_and(|value| value == "overwrite") {
        fs::write(&path, content(page)).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let found = content(page);
    let differs = kept.lines().zip(found.lines()).find(|(kept, found)| kept != found);
    assert!(kept == found, "{}: {differs:#?}; TRYCMD=overwrite blesses it", path.display());
}

#[test]
fn reports_are_as_kept() {
    for recording in REPORT {
        let name = recording.rsplit('/').next().unwrap();
        is_as_kept(name, &page(&["report", &format!("tests/{recording}.hd")]));
    }
}

#[test]
fn comparisons_are_as_kept() {
    let trace = |name: &str| format!("tests/recordings/trace/{name}.hd");
    let stacks = |host: &str| format!("reports/src/trace/golden/push-one-{host}.txt");
    let audit = |name: &str| format!("tests/recordings/{name}.hd");
    for (name, a, b) in [
        ("diff-stacks", stacks("jessie"), stacks("stretch")),
        ("diff-latency", trace("read-latency-oldest"), trace("read-latency-stable")),
        ("diff-counts", trace("vfs-oldest"), trace("vfs-stable")),
        ("diff-offload", audit("healthy-stable"), audit("article-stable")),
    ] {
        is_as_kept(name, &page(&["diff", &a, &b]));
    }
}

#[test]
fn the_causes_stand_before_what_they_rest_on() {
    let [good, bad] = ["good", "bad"].map(|name| format!("tests/recordings/compare/{name}-stable.hd"));
    let page = page(&["compare", &good, &bad]);
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("there is no {text}"));
    let order = [
        "Likely causes</h2>",
        "tx-scatter-gather",
        "Hosts</caption>",
        "Counters</h2>",
        "Stacks: profile</h2>",
    ];
    let places = order.map(at);
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_page_loads_nothing() {
    let page = page(&["report", "tests/recordings/trace/profile-stable.hd"]);
    let policy = "content=\"default-src 'none'; style-src 'sha256-";
    assert!(page.contains(policy), "{}", &page[..600]);
    // Names of schemas are no addresses that anybody goes to.
    let bare = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", " src=", "url(", "@import", "<link", "<iframe", " style=", " onclick="]
    {
        assert!(!bare.contains(outside), "{outside}");
    }
}
