//! Other hosts: an agent there records, and what it says is taken with care.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hostdiag_model::Capture;

use self::meeting::Meeting;
pub use self::target::Target;
use crate::fail::Failure;
use crate::record::{Order, Plan, Tool};
use crate::stop::Stop;

pub mod agent;
pub mod frame;
mod link;
mod meeting;
pub mod protocol;
mod push;
mod session;
mod ssh;
pub mod target;
mod words;
pub mod work;

/// Hosts that are connected to at a time: sshd refuses more that have not logged in yet
/// by and by (MaxStartups, sshd_config(5)).
const AT_A_TIME: usize = 8;
/// How often is looked whether all have ended.
const BEAT: Duration = Duration::from_millis(20);

/// How hosts are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Bring this program there, where it is not installed or not ours.
    pub push: bool,
    /// Become root there by sudo.
    pub sudo: bool,
}

/// What is recorded of hosts, and how.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// What.
    pub plan: &'a Plan,
    /// How they are reached.
    pub options: Options,
    /// The command that counts their work, run here by sh.
    pub work: Option<&'a str>,
}

/// What came of a host.
#[derive(Debug)]
pub struct Outcome {
    /// Which.
    pub target: Target,
    /// What was recorded, also where the host failed later; empty where nothing was.
    /// Each recording says its side.
    pub capture: Capture,
    /// What is lacking: of a tool, or of the host.
    pub failures: Vec<(Option<Tool>, Failure)>,
}

/// What all sessions see.
struct Together<'a> {
    how: How<'a>,
    /// Told when all begin a step.
    begins: &'a (dyn Fn(&Order) + Sync),
    meeting: Meeting,
    /// Sessions that may still connect at this time.
    places: AtomicUsize,
    /// A recording is to end early.
    end: AtomicBool,
    /// Nobody waits for what there is any more.
    abandon: AtomicBool,
}

/// Records all of these hosts at the same time: they begin each step of the plan together.
/// Where the plan names no functions, those are traced on all that stand out on any.
/// A signal ends it early with what there is, a second one at once.
/// `begins` is told when all have come to a step.
pub fn record_all(
    targets: Vec<Target>,
    how: How<'_>,
    stop: &Stop,
    begins: &(dyn Fn(&Order) + Sync),
) -> Vec<Outcome> {
    let together = Together {
        how,
        begins,
        meeting: Meeting::of(targets.len()),
        places: AtomicUsize::new(AT_A_TIME),
        end: AtomicBool::new(false),
        abandon: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let together = &together;
        let sessions: Vec<_> = targets
            .into_iter()
            .map(|target| scope.spawn(move || session::record(target, together)))
            .collect();
        while !sessions.iter().all(|session| session.is_finished()) {
            if together.end.load(Ordering::Relaxed) {
                together.abandon.fetch_or(stop.again(BEAT), Ordering::Relaxed);
            } else {
                together.end.store(stop.wait(BEAT), Ordering::Relaxed);
            }
        }
        sessions.into_iter().filter_map(|session| session.join().ok()).collect()
    })
}

impl Together<'_> {
    /// Waits for a place among those that connect.
    fn take_place(&self) {
        let take = |places: usize| places.checked_sub(1);
        while self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            std::thread::sleep(BEAT);
        }
    }

    /// Whether recordings are to end early.
    fn ends(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    fn give_place(&self) {
        self.places.fetch_add(1, Ordering::Relaxed);
    }
}
