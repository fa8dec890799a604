//! `--watch`: looks whenever links or features change, and repairs or reports, as the
//! policy's mode says.
//!
//! It sleeps in poll(2) until the kernel, a signal or `--hold` wakes it; without an
//! event it does nothing, but tell a watchdog that it lives. Each look reads all anew:
//! what notifications say, and whether some were lost, does not matter.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use hostdiag_model::Audit;

use self::cause::Before;
use self::log::{Log, Message, Priority};
use self::look::Looked;
use self::notify::Manager;
use self::wait::{Pace, Sources, Woken};
use super::fix::journal::folder::FOLDER;
use super::fix::repair;
use super::fix::vitals::Vitals;
use super::held::{Keeper, Now};
use super::policy::Mode;
use super::rules::{self, Rules};
use crate::fail::{Code, Failure};
use crate::net::vitals;

mod cause;
mod log;
mod look;
mod mend;
mod notify;
mod wait;

/// What it is to do, and within which bounds.
pub struct Job<'a> {
    /// The policy, where it is not that of the host.
    pub policy: Option<&'a Path>,
    /// More devices than this are not repaired in one run.
    pub max_devices: usize,
    /// As long each device is watched after its repair.
    pub observe: Duration,
    /// Where metrics of each look go.
    pub metrics: Option<&'a Path>,
}

/// As long nothing may change before a look, and after which time it looks all the same.
const PACE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// So many times as long as a look took it rests after it, at least.
const REST: u32 = 4;
/// After that long it tries again what did not go because of others.
const RETRY: Duration = Duration::from_secs(5);
/// After that long metrics are written again, so that one sees that it runs.
const METRICS: Duration = Duration::from_secs(300);

struct Daemon<'a> {
    job: &'a Job<'a>,
    keeper: Keeper,
    log: Log,
    manager: Manager,
    /// The policy; absent while it is broken.
    rules: Option<Rules>,
    /// What the last look saw.
    before: Vec<Before>,
    audit: Audit,
    /// How long it took, and when that was.
    took: Duration,
    looked: Instant,
    /// What grows, as it was when it woke: a repair compares with that.
    earlier: Option<Vitals>,
    /// When to look again, whatever happens.
    again: Option<Instant>,
    /// When the next hold ends, in milliseconds since boot.
    hold_ends: Option<u64>,
    /// Which file of what is held it has read.
    held: Option<(u64, i64)>,
    status: String,
}

/// Watches the network namespace of the calling thread until a signal comes.
///
/// # Errors
/// `busy` where another one watches it; `no-journal`; and the host refuses what is
/// needed to wait. Whatever fails later is said, and tried again.
pub fn run(job: &Job<'_>) -> Result<()> {
    let keeper = Keeper::open()?;
    let _only_one = keeper.watch()?;
    let sources = Sources::open(Path::new(FOLDER))?;
    let mut daemon = Daemon {
        job,
        keeper,
        log: Log::of_environment(),
        manager: Manager::of_environment()?,
        rules: None,
        before: Vec::new(),
        audit: Audit::default(),
        took: Duration::ZERO,
        looked: Instant::now(),
        earlier: None,
        again: None,
        hold_ends: None,
        held: None,
        status: String::new(),
    };
    daemon.load("watching");
    daemon.recover(&sources);
    daemon.manager.ready(&daemon.status);
    let mut woken = Woken { changed: true, ..Woken::default() };
    let mut since = Now::read()?.boot_ms;
    daemon.glance();
    while !woken.stop {
        daemon.work(&sources, woken, since);
        woken = sources.wait(daemon.time()?)?;
        since = Now::read()?.boot_ms;
        daemon.manager.alive();
        if woken.changed {
            daemon.glance();
            woken = sources.settle(woken, daemon.pace())?;
        }
    }
    daemon.manager.stopping();
    Ok(())
}

impl Daemon<'_> {
    fn pace(&self) -> Pace {
        let (quiet, cap) = PACE;
        Pace { quiet, not_before: self.looked + self.took * REST, cap: cap.max(self.took * 2 * REST) }
    }

    /// How it goes before anything is repaired is looked at while it waits for silence.
    fn glance(&mut self) {
        let repairs = self.rules.as_ref().is_some_and(|rules| rules.policy().mode() == Mode::Repair);
        self.earlier = repairs.then(vitals::growing).and_then(Result::ok);
    }

    /// How long to wait: until it has to give a sign of life, or something is due.
    fn time(&self) -> Result<Option<Duration>> {
        let now = Now::read()?.boot_ms;
        let hold = self.hold_ends.map(|end| Duration::from_millis(end.saturating_sub(now) + 1));
        let again = self.again.map(|at| at.saturating_duration_since(Instant::now()));
        let alive = self.manager.watchdog.map(|length| length / 2);
        Ok([hold, again, alive].into_iter().flatten().min())
    }

    /// What was due is done by the look that follows.
    fn due(&mut self) -> bool {
        let again = self.again.is_some_and(|at| at <= Instant::now());
        let now = Now::read().map_or(0, |now| now.boot_ms);
        again || self.hold_ends.is_some_and(|end| end <= now)
    }

    fn work(&mut self, sources: &Sources, woken: Woken, since_boot_ms: u64) {
        let earlier = self.earlier.take();
        if woken.reload {
            self.manager.reloading();
            self.load("policy read anew");
            self.manager.ready(&self.status);
        }
        if woken.lost {
            let text = "notifications were lost; everything is read anew".to_owned();
            self.say(Priority::Info, "overrun", text);
        }
        let held = woken.held && self.keeper.identity() != self.held;
        if !(woken.changed || woken.reload || held || self.due()) {
            return;
        }
        self.again = None;
        let started = Instant::now();
        let looked = self.look(since_boot_ms);
        (self.took, self.looked) = (started.elapsed(), Instant::now());
        self.manager.alive();
        let mend = |seen: Looked| self.mend(&seen, earlier.as_ref(), sources);
        let done = looked.and_then(|seen| seen.map_or(Ok(()), mend));
        match done {
            Ok(()) => self.log.forget("failed"),
            Err(error) => self.failed(&error),
        }
        if self.job.metrics.is_some() {
            self.again.get_or_insert_with(|| Instant::now() + METRICS);
        }
        self.tell_status();
    }

    /// Undoes the step in which a repair before this process was killed.
    fn recover(&mut self, sources: &Sources) {
        match repair::recovered(&sources.stop) {
            Ok(undone) => self.tell_undone(&undone),
            Err(error) => self.failed(&error),
        }
    }

    /// Said once, and tried again: what stands in the way may go away.
    fn failed(&mut self, error: &anyhow::Error) {
        let broken = error.downcast_ref::<Failure>().is_some_and(|failure| failure.code == Code::BadPolicy);
        if broken {
            return self.broken(error);
        }
        self.again = Some(Instant::now() + RETRY);
        let text = described(error);
        self.log.once(&Message { priority: Priority::Error, event: "failed", text, fields: &[] });
    }

    /// Reads the policy.
    fn load(&mut self, what: &str) {
        match rules::load_trusted(self.job.policy) {
            Ok(rules) => {
                let mode = match rules.policy().mode() {
                    Mode::Repair => "it repairs",
                    Mode::Report => "it reports",
                };
                self.rules = Some(rules);
                self.log.forget("policy");
                self.status = format!("{what}: {mode}");
                self.say(Priority::Info, "mode", self.status.clone());
            }
            Err(error) => self.broken(&error),
        }
    }

    /// Half a policy might repair the wrong things: nothing is done until it is whole.
    fn broken(&mut self, error: &anyhow::Error) {
        self.rules = None;
        let text = format!(
            "nothing is repaired until the policy is mended and read anew (SIGHUP): {}",
            described(error)
        );
        self.status.clone_from(&text);
        self.log.once(&Message { priority: Priority::Error, event: "policy", text, fields: &[] });
    }

    fn tell_status(&mut self) {
        let Some(rules) = &self.rules else { return self.manager.status(&self.status) };
        let mode = match rules.policy().mode() {
            Mode::Repair => "repairs",
            Mode::Report => "reports",
        };
        let (devices, findings) = (self.before.len(), self.audit.findings().count());
        let status = format!("{mode}; devices: {devices}, findings: {findings}");
        if status != self.status {
            self.manager.status(&status);
            self.status = status;
        }
    }

    fn say(&self, priority: Priority, event: &'static str, text: String) {
        self.log.say(&Message { priority, event, text, fields: &[] });
    }
}

/// An error and what to do about it, in a line.
fn described(error: &anyhow::Error) -> String {
    let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_ref());
    hint.map_or_else(|| format!("{error:#}"), |hint| format!("{error:#}; {hint}"))
}
