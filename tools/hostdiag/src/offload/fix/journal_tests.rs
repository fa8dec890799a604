//! Journals of a folder that this test owns.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hostdiag_model::FeatureState;
use hostdiag_model::plan::Change;
use proptest::prelude::*;

use super::folder::Folder;
use super::lock::Lock;
use super::*;
use crate::offload::fix::scratch::Scratch;

const SG: &str = "tx-scatter-gather";

fn identity(ifindex: u32) -> Identity {
    let (kind, permanent_address) = (Some("vlan".into()), None);
    Identity { name: format!("vlan{ifindex}"), ifindex, kind, permanent_address }
}

fn wish(ifindex: u32, after: bool) -> Wish {
    Wish { device: identity(ifindex), feature: SG.into(), before: !after, after }
}

fn step(ifindex: u32, state: State) -> JournalStep {
    let action = Action::Set { features: vec![SG.into()] };
    JournalStep { device: identity(ifindex), action, state, wishes: vec![wish(ifindex, true)] }
}

/// A run whose id has this number.
fn journal(id: u64, states: &[State]) -> Journal {
    let steps = states.iter().zip(1..).map(|(state, ifindex)| step(ifindex, *state)).collect();
    Journal {
        version: VERSION,
        id: format!("{id:08x}"),
        boot_id: "now".into(),
        netns: Space { name: None, dev: 4, ino: 4_026_531_840, cookie: Some(1) },
        started_ms: 1000 + id,
        command: vec!["hostdiag".into(), "offload".into(), "--fix".into()],
        reason: Some("NET-1".into()),
        steps,
    }
}

fn lock(path: &Path) -> Lock {
    Folder::open(path).unwrap().lock().unwrap()
}

/// Code and message of a failure.
#[track_caller]
fn failure<T: std::fmt::Debug>(result: Result<T>) -> (Code, String) {
    let error = result.unwrap_err();
    let failure = error.downcast_ref::<Failure>().expect("a failure with a code");
    (failure.code, format!("{error:#}"))
}

fn files(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn ids(lock: &Lock) -> Vec<String> {
    lock.found("now").unwrap().journals.into_iter().map(|journal| journal.id).collect()
}

#[test]
fn wishes_are_the_wanted_bits_of_every_device() {
    let change = |ifindex, feature: &str, before, after| Change {
        device: identity(ifindex).name,
        ifindex,
        feature: feature.into(),
        before,
        after,
        certain: true,
        physical: false,
    };
    let changes = vec![
        change(10, SG, FeatureState::Off, FeatureState::On),
        change(10, "tx-generic-segmentation", FeatureState::OffRequestedOn, FeatureState::On),
        change(2, "rx-lro", FeatureState::On, FeatureState::Off),
        change(3, "rx-gro", FeatureState::OffFixed, FeatureState::On),
    ];
    let action = Action::Set { features: vec![SG.into()] };
    let step = Step { device: identity(10), action, repairs: vec![SG.into()], changes };
    let plan = Plan { steps: vec![step], ..Plan::default() };
    let lro = Wish { feature: "rx-lro".into(), ..wish(2, false) };
    let made = steps(&plan, &|ifindex| Some(identity(ifindex))).unwrap();
    assert_eq!(made[0].wishes, [wish(10, true), lro]);
    assert_eq!(made[0].state, State::Planned);
    let error = steps(&plan, &|ifindex| (ifindex != 2).then(|| identity(ifindex))).unwrap_err();
    assert_eq!(error.to_string(), "vlan2 (index 2) is not known");
}

#[test]
fn a_run_knows_its_boot_and_namespace() {
    let here = || Space::here(None).unwrap();
    let [one, two] = [(); 2].map(|()| Journal::new(here(), Vec::new(), None, Vec::new()).unwrap());
    assert!(is_id(&one.id) && one.id != two.id, "{one:?} {two:?}");
    assert_eq!(one.boot_id, boot_id().unwrap());
    assert_eq!(one.boot_id.len(), 36);
    assert!(one.netns.same(&Space { name: Some("blue".into()), ..here() }));
    assert!(!one.netns.same(&Space { cookie: Some(u64::MAX), ..here() }), "its number used again");
    assert!(!one.netns.same(&Space { ino: 1, ..here() }));
}

#[test]
fn every_state_of_a_step_is_kept_at_once() {
    let scratch = Scratch::new("journal-states");
    let lock = lock(scratch.path());
    let mut run = journal(7, &[State::Planned, State::Planned]);
    lock.create(&run).unwrap();
    for (step, state) in [(0, State::Begun), (0, State::Kept), (1, State::Begun), (1, State::Undone)] {
        lock.mark(&mut run, step, state).unwrap();
        assert_eq!(run.steps[step].state, state);
        let found = lock.found("now").unwrap();
        assert_eq!(found.journals, std::slice::from_ref(&run));
        assert_eq!(found.unfinished().count(), usize::from(state == State::Begun));
    }
    assert_eq!(files(scratch.path()), ["fix-00000007.json", "lock"]);
    let mode = |name: &str| fs::metadata(scratch.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("fix-00000007.json"), mode("lock")], [0o600; 2]);
    assert_eq!(lock.mark(&mut run, 2, State::Begun).unwrap_err().to_string(), "run 00000007 has no step 2");
    assert_eq!(failure(lock.create(&run)).0, Code::NoJournal, "another run has that id");
}

#[test]
fn a_journal_that_cannot_be_written_is_as_it_was() {
    let scratch = Scratch::new("journal-unwritten");
    let lock = lock(scratch.path());
    let mut run = journal(1, &[State::Planned]);
    lock.create(&run).unwrap();
    // In the place of the file that would become the journal: also root cannot.
    let in_the_way = scratch.path().join("fix-00000001.json.new");
    fs::create_dir(&in_the_way).unwrap();
    let (code, message) = failure(lock.mark(&mut run, 0, State::Begun));
    let path = scratch.path().join("fix-00000001.json");
    assert_eq!(code, Code::NoJournal);
    assert!(message.starts_with(&format!("failed to write {}: ", path.display())), "{message}");
    assert_eq!(lock.found("now").unwrap().journals, [run.clone()]);
    assert_eq!(run, journal(1, &[State::Planned]));
    fs::remove_dir(in_the_way).unwrap();
    lock.mark(&mut run, 0, State::Begun).unwrap();
}

#[test]
fn one_run_at_a_time() {
    let scratch = Scratch::new("journal-lock");
    let path = scratch.path().join("run");
    let first = lock(&path);
    let (code, message) = failure(Folder::open(&path).unwrap().lock());
    let pid = std::process::id();
    let holds = format!("process {pid} is repairing or undoing: it holds {}/lock", path.display());
    assert_eq!((code, message), (Code::Busy, holds));
    fs::write(path.join("lock"), "").unwrap();
    let (_, message) = failure(Folder::open(&path).unwrap().lock());
    assert!(message.starts_with("another process is repairing"), "{message}");
    drop(first);
    lock(&path);
}

#[test]
fn a_folder_of_others_is_refused() {
    let scratch = Scratch::new("journal-folder");
    let path = |name: &str| scratch.path().join(name);
    let refused = |path: PathBuf, why: &str| {
        let expected = format!("{}: {why}", path.display());
        assert_eq!(failure(Folder::open(&path)), (Code::NoJournal, expected));
    };
    Folder::open(&path("made")).unwrap();
    assert_eq!(fs::metadata(path("made")).unwrap().permissions().mode() & 0o7777, 0o700);
    symlink(path("made"), path("link")).unwrap();
    refused(path("link"), "it is a link, or no folder");
    fs::write(path("file"), "").unwrap();
    refused(path("file"), "it is a link, or no folder");
    refused(path("no/such"), "No such file or directory (os error 2)");
    fs::set_permissions(path("made"), fs::Permissions::from_mode(0o1777)).unwrap();
    refused(path("made"), "others can write to it (mode 1777)");
}

#[test]
fn files_that_are_no_journals_are_told() {
    let scratch = Scratch::new("journal-damaged");
    let lock = lock(scratch.path());
    let text = |journal: &Journal| serde_json::to_string(journal).unwrap();
    let whole = journal(3, &[State::Kept]);
    let put = |name: &str, text: &str| fs::write(scratch.path().join(name), text).unwrap();
    put("fix-00000001.json", &text(&whole));
    put("fix-00000002.json", &text(&Journal { version: 9, ..journal(2, &[]) }));
    put("fix-00000003.json", &text(&whole));
    put("fix-00000004.json", &text(&journal(4, &[]))[..40]);
    put("fix-00000005.json", "");
    put("fix-00000006.json", &text(&Journal { id: "../../x6".into(), ..journal(6, &[]) }));
    put("fix-00000007.json", r#"{"version":1}"#);
    put("fix-x.json", "somebody else's");
    let found = lock.found("now").unwrap();
    assert_eq!(found.journals, [whole]);
    let problems: Vec<String> = found.problems.iter().map(|problem| problem.message.clone()).collect();
    let expected = [
        "1.json is damaged: it is of run 00000003",
        "2.json: version 9; this hostdiag reads version 1",
        "4.json is damaged: EOF while parsing a string at line 1 column 40",
        "5.json is damaged: EOF while parsing a value at line 1 column 0",
        "6.json is damaged: \"../../x6\" is no id of a run",
        "7.json is damaged: missing field `id` at line 1 column 13",
    ];
    let expected = expected.map(|end| format!("{}/fix-0000000{end}", scratch.path().display()));
    assert_eq!(problems, expected);
    assert_eq!(failure(found.run(Some("00000002"))), (Code::BadJournal, expected[1].clone()));
}

#[test]
fn a_file_without_end_is_not_read_whole() {
    let scratch = Scratch::new("journal-large");
    let lock = lock(scratch.path());
    let file = fs::File::create(scratch.path().join("fix-00000001.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let problem = &lock.found("now").unwrap().problems[0];
    assert!(problem.message.ends_with("is damaged: larger than 16 MiB"), "{problem:?}");
    let large = Journal { reason: Some("x".repeat(17 << 20)), ..journal(2, &[]) };
    let (code, message) = failure(lock.create(&large));
    assert_eq!(code, Code::NoJournal);
    assert!(message.ends_with("larger than 16 MiB"), "{message}");
}

#[test]
fn a_run_is_found_by_its_id_or_as_the_last() {
    let scratch = Scratch::new("journal-find");
    let lock = lock(scratch.path());
    for run in [
        journal(1, &[State::Kept]),
        journal(2, &[State::Kept, State::Begun]),
        journal(3, &[State::Undone, State::Planned]),
        Journal { boot_id: "before".into(), ..journal(4, &[State::Begun]) },
    ] {
        lock.write(&run).unwrap();
    }
    let found = lock.found("now").unwrap();
    let run = |id: Option<&str>| found.run(id).map(|run| run.id.clone());
    assert_eq!(ids(&lock), ["00000003", "00000002", "00000001"]);
    assert_eq!(found.unfinished().map(|run| &*run.id).collect::<Vec<_>>(), ["00000002"]);
    assert_eq!(run(None).unwrap(), "00000002", "the last that is not undone");
    assert_eq!(run(Some("00000003")).unwrap(), "00000003");
    let unknown = "no run \"00000004\" since this host was booted".to_owned();
    assert_eq!(failure(run(Some("00000004"))), (Code::NoSuchRun, unknown));
    let none = lock.found("later").unwrap();
    assert_eq!(failure(none.run(None)).1, "no run since this host was booted can be undone");
}

#[test]
fn old_journals_are_forgotten_but_not_what_is_to_be_put_right() {
    let scratch = Scratch::new("journal-old");
    let lock = lock(scratch.path());
    lock.write(&Journal { boot_id: "before".into(), ..journal(0xff, &[State::Begun]) }).unwrap();
    fs::write(scratch.path().join("fix-000000fe.json.new"), "half").unwrap();
    lock.create(&journal(0, &[State::Begun])).unwrap();
    for id in 1..=70 {
        lock.create(&journal(id, &[State::Kept])).unwrap();
    }
    let expected: Vec<String> = (7..=70).rev().chain([0]).map(|id| format!("{id:08x}")).collect();
    assert_eq!(ids(&lock), expected);
    assert_eq!(files(scratch.path()).len(), 66, "and the lock");
}

fn identities() -> impl Strategy<Value = Identity> {
    let kind = prop::option::of("[a-z]{1,8}");
    ("\\PC{1,15}", any::<u32>(), kind, prop::option::of("[0-9a-f:]{17}")).prop_map(
        |(name, ifindex, kind, permanent_address)| Identity { name, ifindex, kind, permanent_address },
    )
}

fn any_steps() -> impl Strategy<Value = Vec<JournalStep>> {
    let state = prop::sample::select(vec![State::Planned, State::Begun, State::Kept, State::Undone]);
    let wish = (identities(), "[a-z-]{1,20}", any::<(bool, bool)>()).prop_map(
        |(device, feature, (before, after))| Wish { device, feature: feature.into(), before, after },
    );
    let action = prop::option::of(prop::collection::vec("[a-z-]{1,20}", 0..3)).prop_map(|set| match set {
        Some(features) => Action::Set { features: features.into_iter().map(Into::into).collect() },
        None => Action::Recompute,
    });
    let step = (identities(), action, state, prop::collection::vec(wish, 0..4))
        .prop_map(|(device, action, state, wishes)| JournalStep { device, action, state, wishes });
    prop::collection::vec(step, 0..5)
}

proptest! {
    #[test]
    fn what_is_written_is_read(steps in any_steps(), name in prop::option::of(any::<String>()), words in any::<Vec<String>>()) {
        let netns = Space { name: name.clone(), dev: u64::MAX, ino: 0, cookie: name.as_ref().map(|_| u64::MAX) };
        let written = Journal { steps, netns, command: words, reason: name, ..journal(1, &[]) };
        let bytes = serde_json::to_vec(&written).unwrap();
        prop_assert_eq!(Journal::parse(&bytes, "x").unwrap(), written);
    }

    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..6)) {
        let mut text = serde_json::to_vec(&journal(1, &[State::Begun, State::Kept])).unwrap();
        let start = at.index(text.len());
        let end = (start + bytes.len()).min(text.len());
        text.splice(start..end, bytes);
        let _ = Journal::parse(&text, "x");
        prop_assert!(Journal::parse(&text[..start], "x").is_err());
    }
}
