//! Runs `hostdiag snapshot` as a user does and reads what it recorded.
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hostdiag_model::snapshot::{Rate, Setting, Value};
use hostdiag_model::{Data, Recording, Snapshot};

use super::hostdiag;

/// A snapshot of the current namespace.
pub(crate) struct Taken(pub(crate) Snapshot);

impl Taken {
    /// As root.
    #[track_caller]
    pub(crate) fn now(args: &[&str]) -> Self {
        Self::by(&mut hostdiag(), args)
    }

    /// By a command that runs the program.
    #[track_caller]
    pub(crate) fn by(command: &mut Command, args: &[&str]) -> Self {
        let output = command.args(["snapshot", "--format", "json"]).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""));
        Self::read(&output.stdout)
    }

    /// While another thread does something again and again, and how often it did.
    #[track_caller]
    pub(crate) fn during(interval: &str, work: impl Fn() + Sync) -> (Self, u64) {
        let (ended, times) = (AtomicBool::new(false), AtomicU64::new(0));
        let taken = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    work();
                    times.fetch_add(1, Ordering::Relaxed);
                }
            });
            let taken = Self::now(&["--interval", interval]);
            ended.store(true, Ordering::Relaxed);
            taken
        });
        (taken, times.into_inner())
    }

    #[track_caller]
    pub(crate) fn read(stdout: &[u8]) -> Self {
        let recording = Recording::read(&mut &*stdout).unwrap();
        assert!(recording.elapsed_ms.is_some(), "a partial recording");
        let Data::Snapshot(snapshot) = recording.data else { panic!("no snapshot") };
        Self(*snapshot)
    }

    #[track_caller]
    pub(crate) fn setting(&self, of: Option<&str>, name: &str) -> &Setting {
        let found = self.0.settings.iter().find(|one| one.of.as_deref() == of && one.name == name);
        found.unwrap_or_else(|| panic!("no {of:?} {name}"))
    }

    #[track_caller]
    pub(crate) fn value(&self, of: Option<&str>, name: &str) -> &str {
        match &self.setting(of, name).value {
            Value::Value(value) => value,
            Value::Unreadable(why) => panic!("{of:?} {name}: {why}"),
        }
    }

    #[track_caller]
    pub(crate) fn rate(&self, of: Option<&str>, name: &str) -> &Rate {
        let found = self.0.rates.iter().find(|one| one.of.as_deref() == of && one.name == name);
        found.unwrap_or_else(|| panic!("{of:?} {name} was not counted"))
    }

    #[track_caller]
    pub(crate) fn count(&self, of: Option<&str>, name: &str) -> u64 {
        self.rate(of, name).count
    }
}
