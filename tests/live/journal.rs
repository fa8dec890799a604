//! Journals where they cannot be kept: a full /run, one that is mounted
//! read-only, a folder of somebody else.
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;
use hostdiag::fail::{Code, Failure};
use hostdiag::offload::fix::history;
use hostdiag::offload::fix::journal::folder::Folder;
use hostdiag::offload::fix::journal::lock::Lock;
use hostdiag::offload::fix::journal::{Journal, JournalStep, Space, State};
use hostdiag_model::history::{HistoryEntry, What, Who};
use hostdiag_model::plan::{Action, Identity};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::lab::{NetNs, wait_until};

/// Runs a test with a small file system of its own, on a thread of its own: the
/// mount ends with it.
#[track_caller]
fn on_tmpfs(purpose: &str, test: impl FnOnce(&Path) + Send + 'static) {
    let path = std::env::temp_dir().join(format!("hostdiag-{purpose}-{}", std::process::id()));
    fs::create_dir(&path).unwrap();
    let mounted = path.clone();
    let result = thread::spawn(move || {
        let nothing = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).expect("failed to unshare the mounts (root is needed)");
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        let size = Some("size=64k,mode=700");
        mount(Some("tmpfs"), &mounted, Some("tmpfs"), MsFlags::empty(), size).unwrap();
        test(&mounted);
    })
    .join();
    fs::remove_dir(path).unwrap();
    assert!(result.is_ok(), "see above");
}

/// Takes every byte there is; the file to remove for room.
fn fill(path: &Path) -> PathBuf {
    let file = path.join("filled");
    let error = fs::write(&file, vec![0; 1 << 20]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    file
}

fn journal() -> Journal {
    let (name, kind) = ("vlan10".to_owned(), Some("vlan".to_owned()));
    let device = Identity { name, ifindex: 5, kind, permanent_address: None };
    let (action, state) = (Action::Recompute, State::Planned);
    let step = JournalStep { device, action, state, wishes: Vec::new() };
    Journal::new(Space::here(None).unwrap(), Vec::new(), None, vec![step]).unwrap()
}

fn lock(path: &Path) -> Lock {
    Folder::open(&path.join("hostdiag")).unwrap().lock().unwrap()
}

#[track_caller]
fn no_journal<T: std::fmt::Debug>(result: Result<T>, why: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.downcast_ref::<Failure>().map(|failure| failure.code), Some(Code::NoJournal));
    assert!(format!("{error:#}").contains(why), "{error:#}");
}

#[test]
fn journal_on_a_full_run_is_refused_before_anything_changes() {
    on_tmpfs("journal-full", |path| {
        let lock = lock(path);
        let (filled, run) = (fill(path), journal());
        no_journal(lock.create(&run), "No space left on device");
        let left: Vec<_> = fs::read_dir(path.join("hostdiag")).unwrap().collect();
        assert_eq!(left.len(), 1, "only the lock: {left:?}");
        fs::remove_file(filled).unwrap();
        lock.create(&run).unwrap();
    });
}

#[test]
fn journal_on_a_run_that_fills_up_is_as_before() {
    on_tmpfs("journal-fills", |path| {
        let lock = lock(path);
        let mut run = journal();
        lock.create(&run).unwrap();
        let filled = fill(path);
        no_journal(lock.mark(&mut run, 0, State::Begun), "No space left on device");
        assert_eq!(run.steps[0].state, State::Planned);
        assert_eq!(lock.found(&run.boot_id).unwrap().journals, [run.clone()]);
        fs::remove_file(filled).unwrap();
        lock.mark(&mut run, 0, State::Begun).unwrap();
        assert_eq!(lock.found(&run.boot_id).unwrap().unfinished().count(), 1);
    });
}

/// A line that found no room is cut; the next one is whole all the same.
#[test]
fn journal_history_on_a_full_disk_loses_one_line_and_says_so() {
    on_tmpfs("history-full", |path| {
        let file = path.join("lib/changes.jsonl");
        let change = |reason: usize| HistoryEntry {
            time_ms: 1,
            run: "1a2b3c4d".into(),
            what: What::Set,
            netns: None,
            device: "vlan10".into(),
            feature: None,
            before: None,
            after: None,
            who: Who::default(),
            command: String::new(),
            reason: Some("x".repeat(reason)),
        };
        history::append(&file, &[change(1)]).unwrap();
        let filled = fill(path);
        let error = history::append(&file, &[change(5000)]).unwrap_err();
        assert!(format!("{error:#}").contains("No space left on device"), "{error:#}");
        fs::remove_file(filled).unwrap();
        history::append(&file, &[change(2)]).unwrap();
        let (entries, problems) = history::read(&file).unwrap();
        assert_eq!(entries, [change(1), change(2)]);
        assert_eq!(problems.len(), 1, "{problems:?}");
    });
}

#[test]
fn journal_on_a_read_only_run_is_refused() {
    on_tmpfs("journal-read-only", |path| {
        let made = lock(path);
        let (nothing, read_only) = (None::<&str>, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
        drop(made);
        mount(nothing, path, nothing, read_only, nothing).unwrap();
        no_journal(Folder::open(&path.join("another")), "Read-only file system");
        no_journal(Folder::open(&path.join("hostdiag")).unwrap().lock(), "Read-only file system");
    });
}

#[test]
fn journal_in_the_folder_of_another_user_is_refused() {
    on_tmpfs("journal-foreign", |path| {
        drop(lock(path));
        chown(path.join("hostdiag"), Some(12_345), None).unwrap();
        no_journal(Folder::open(&path.join("hostdiag")), "it belongs to user 12345");
    });
}

/// The kernel gives the number of a namespace that has ended to a later one, and
/// before Linux 5.14 there is nothing else to tell them by.
#[test]
fn journal_tells_a_namespace_from_one_that_has_its_number() {
    let space = || {
        let namespace = NetNs::new("journal");
        let _entered = namespace.enter();
        let space = Space::here(Some(namespace.name().to_owned())).unwrap();
        assert!(space.same(&Space::here(None).unwrap()));
        space
    };
    let (first, mut later) = (space(), space());
    wait_until("its number is given again", || {
        later = space();
        later.ino == first.ino
    });
    let cannot_tell = first.cookie.is_none();
    assert_eq!(first.same(&later), cannot_tell, "{first:?} {later:?}");
}
