use std::fs;
use std::path::{Path, PathBuf};

use hostdiag_model::diff::{self, How, Source, What};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

#[test]
fn sections_stand_in_the_order_of_reading() {
    let section = |place, title: &str| Section::new(place, title, html! { p { "x" } });
    let sections = vec![
        section(Place::Raw, "Raw"),
        section(Place::Stacks, "Second stacks"),
        section(Place::Verdict, "Result"),
        section(Place::Stacks, "Third stacks"),
    ];
    let page = Page { title: "</title><script>x</script>\u{202e}".into(), sections }.document();
    let places: Vec<usize> = ["id=\"verdict\"", "id=\"stacks\"", "id=\"stacks-2\"", "id=\"raw\""]
        .map(|anchor| page.find(anchor).unwrap())
        .into();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;x") && !page.contains('\u{202e}'));
    assert!(page.ends_with("</html>\n"));
}

fn recordings() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let folders = ["recordings", "recordings/trace", "cli/input"].map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "hd"));
    files.sort();
    files
}

/// What a host names, and whoever made a recording up.
const NAMES: [&str; 14] = [
    "name",
    "comm",
    "module",
    "process",
    "kernel",
    "machine",
    "os",
    "message",
    "subject",
    "text",
    "file",
    "expression",
    "unknown",
    "gap",
];

/// A recording whose names have something behind them; its end goes, with the checksum.
fn spoilt(path: &Path, with: &str) -> Option<Recording> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = String::new();
    for line in text.lines().filter(|line| !line.starts_with("{\"type\":\"end\"")) {
        let mut value: Value = serde_json::from_str(line).ok()?;
        spoil(&mut value, with);
        lines.push_str(&format!("{value}\n"));
    }
    Recording::read(&mut lines.as_bytes()).ok()
}

fn spoil(value: &mut Value, with: &str) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| spoil(one, with)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| match value {
            Value::String(text) if NAMES.contains(&key.as_str()) => text.push_str(with),
            value => spoil(value, with),
        }),
        _ => {}
    }
}

/// Nothing that a name has in it is markup, is obeyed, or fills the page.
#[track_caller]
fn is_safe(page: &str) {
    assert!(!page.chars().any(|c| c != '\n' && is_harmful(c)));
    let body = page.split("<body>").nth(1).unwrap();
    assert_eq!(body.matches("<script").count(), 1, "one script, and that is ours");
    for markup in ["<hostile", " onload=\"", "javascript:\"", "<style", "</main><"] {
        assert!(!body.replace("</main><footer>", "").contains(markup), "{markup}");
    }
    assert!(!page.contains(&"x".repeat(5 * LONGEST)), "a name of thousands of letters");
}

fn source(recording: Recording) -> Source<'static> {
    Source { name: "a</title><hostile>.hd".into(), what: What::Recording(Box::new(recording)) }
}

#[test]
fn every_recording_is_a_page_and_the_same_one_each_time() {
    let mut kinds = 0;
    for path in recordings() {
        let Some(recording) = spoilt(&path, "") else { continue };
        let page = report(std::slice::from_ref(&recording), "a.hd");
        assert!(page == report(std::slice::from_ref(&recording), "a.hd"), "{}", path.display());
        is_safe(&page);
        assert!(page.len() < 1 << 20, "{}: {} bytes", path.display(), page.len());
        kinds += 1;
    }
    assert!(kinds > 30, "{kinds}");
}

fn of_lines(data: &[&str]) -> Recording {
    let header = r#"{"type":"header","schema":"hostdiag.recording","version":1,"tool":"0","command":"x",
        "host":{"name":"web"},"started_ms":0}"#;
    let lines = [&[header.replace('\n', " ").as_str()], data].concat().join("\n") + "\n";
    Recording::read(&mut lines.as_bytes()).unwrap()
}

#[test]
fn a_snapshot_is_settings_and_rates() {
    let page = report(
        &[of_lines(&[r#"{"type":"snapshot","settings":[
            {"area":"sysctl","name":"net.core.default_qdisc","value":"<hostile>","origin":"/etc/sysctl.conf"},
            {"area":"nic","of":"eth0","name":"firmware","unreadable":"no permission"}],
            "interval_ms":2000,"rates":[{"area":"softirq","name":"NET_RX","count":2400}]}"#
            .replace('\n', " ")
            .as_str()])],
        "a.hd",
    );
    is_safe(&page);
    for text in [
        "2 settings and 1 rate",
        "&lt;hostile&gt;",
        "not read: no permission: nic 1",
        "1200.0",
        "sysctl.conf",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn an_undo_says_what_became_of_each_wish() {
    let undo = r#"{"type":"undo","changed":true,"runs":[{"id":"7","wishes":[
        {"device":"new","was":"old<1>","feature":"tx-scatter-gather","wanted":false,"result":{"is":"restored"}},
        {"device":"b","feature":"gro","wanted":true,"result":{"is":"conflict","why":"it has gone"}}],
        "recomputed":["c"]}],"problems":[{"subject":"history","message":"no space"}]}"#;
    let page = report(&[of_lines(&[undo.replace('\n', " ").as_str()])], "a.hd");
    is_safe(&page);
    for text in [
        "x undo on web",
        "run 7: 1 restored, 1 conflict",
        "new (was old&lt;1&gt;)",
        "conflict, left as it is: it has gone",
        "computed anew",
        "not kept: history: no space",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn a_list_says_what_would_be_traced() {
    let page = report(
        &[of_lines(&[
            r#"{"type":"trace","asked":{"patterns":["f"]},"attach":[{"mechanism":"fentry","reason":"few","functions":[{"name":"f"}]}],"skipped":[{"name":"g","reason":"denied"}]}"#,
        ])],
        "a.hd",
    );
    assert!(page.contains("1 function would be traced, 1 would not"), "{page}");
    assert!(page.contains("the host would hang") && !page.contains("was cut off: what follows"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn names_of_hosts_are_text(random in "\\PC{0,20}", at in 0_usize..1000) {
        let long = "x".repeat(5000);
        let name = format!("\"'><hostile onload=\"x\"></main></pre><script>\u{1b}[2J\u{202e}&{random}\n{long}");
        let files = recordings();
        for path in files.iter().cycle().skip(at % files.len()).take(6) {
            let Some(recording) = spoilt(path, &name) else { continue };
            is_safe(&report(std::slice::from_ref(&recording), "'><hostile>.hd"));
            let other = spoilt(path, &format!("{name}2")).unwrap();
            if let Ok(compared) = diff::compare(vec![source(recording)], vec![source(other)], How::default()) {
                is_safe(&comparison::page(&compared));
            }
        }
    }
}

/// Folded stacks of so many different paths, as busy hosts have them.
fn many(seed: u64, number: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut lines = String::new();
    for _ in 0..number {
        let depth = 5 + next(40);
        let frames: Vec<String> =
            (0..depth).map(|at| format!("a_function_of_the_kernel_{at}_{}", next(3 + at))).collect();
        lines.push_str(&format!("{} {}\n", frames.join(";"), 1 + next(100)));
    }
    lines.into_bytes()
}

#[test]
fn many_stacks_fit_and_what_is_left_out_is_counted() {
    let source =
        |bytes: &'static [u8], name: &str| Source { name: name.into(), what: What::Stacks(Box::new(bytes)) };
    let [a, b] = [1, 2].map(|seed| &*many(seed, 20_000).leak());
    let compared = diff::compare(vec![source(a, "a")], vec![source(b, "b")], How::default()).unwrap();
    let page = comparison::page(&compared);
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    assert!(page.contains("narrower frames left out"));
}
