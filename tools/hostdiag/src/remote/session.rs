//! One host from the connection to its last recording, in step with the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hostdiag_model::recording::{Side, WorkDone};
use hostdiag_model::{Capture, Recording};

use super::link::{Heard, Link};
use super::protocol::{Reply, Request};
use super::target::Target;
use super::{Outcome, Together, agent, words, work};
use crate::fail::{Code, Failure};
use crate::record::{FUNCTIONS, Order, Tool, busiest};

/// From when all are ready to the start: word of it has to get there.
const AHEAD: Duration = Duration::from_millis(250);
/// Longest time that tools take to be attached, and after they have counted to be read,
/// detached and sent.
const SLACK: Duration = Duration::from_secs(90);
/// How often is looked whether it is to end early.
const BEAT: Duration = Duration::from_millis(100);

/// Records one host.
pub(super) fn record(target: Target, together: &Together<'_>) -> Outcome {
    let mut outcome = Outcome { target, capture: Capture::default(), failures: Vec::new() };
    if let Err(failure) = run(&mut outcome, together) {
        outcome.failures.push((None, failure));
    }
    together.meeting.leave();
    outcome
}

fn run(outcome: &mut Outcome, together: &Together<'_>) -> Result<(), Failure> {
    together.take_place();
    let opened = Link::open(&outcome.target, together.how.options);
    together.give_place();
    let (mut link, hello) = opened?;
    if !hello.root && together.how.plan.tools.iter().any(|tool| tool.traces()) {
        let message = format!("{}: it may load no BPF programs there", outcome.target.name);
        let failure = Failure::new(Code::NoPrivilege, message);
        outcome.failures.push((None, failure.hint("log in as root, or become root there: --sudo")));
    }
    let offset = link.clock_offset()?;
    let side = Side {
        group: outcome.target.group.clone(),
        target: outcome.target.name.clone(),
        clock_offset_us: Some(offset),
        work: None,
    };
    let mut work = WorkDone::default();
    for mut order in together.how.plan.steps() {
        if together.ends() {
            break;
        }
        if order.functions.is_empty() && order.tools.iter().any(|tool| tool.of_functions()) {
            let met = together.meeting.meet(link.busiest()?);
            order.functions = busiest::together(&met.brought, FUNCTIONS);
        }
        let session = Session { link: &mut link, together, outcome, side: &side, bytes: Vec::new() };
        work += session.step(&order)?;
    }
    if together.how.work.is_some() && work.over_us > 0 {
        let sides = outcome.capture.recordings.iter_mut().filter_map(|recording| recording.side.as_mut());
        sides.for_each(|side| side.work = Some(work));
    }
    Ok(())
}

/// Reads a counter at both ends of a span, or where that is over before.
fn count(
    command: &str,
    target: &Target,
    (begin, end): (Instant, Instant),
    is_over: impl Fn() -> bool,
) -> Result<WorkDone, Failure> {
    let wait = |until: Instant| {
        while !is_over() && Instant::now() < until {
            std::thread::sleep(BEAT.min(until.saturating_duration_since(Instant::now())));
        }
    };
    wait(begin);
    let first = work::read(command, target)?;
    wait(end);
    first.until(work::read(command, target)?, target)
}

/// A step of one host.
struct Session<'a> {
    link: &'a mut Link,
    together: &'a Together<'a>,
    outcome: &'a mut Outcome,
    side: &'a Side,
    /// Of the recording that comes.
    bytes: Vec<u8>,
}

impl Session<'_> {
    /// The work that was done meanwhile, none where nobody counts it.
    fn step(mut self, order: &Order) -> Result<WorkDone, Failure> {
        self.link.say(&Request::Record(order.clone()))?;
        self.hear_until(&Reply::Ready, Instant::now() + SLACK)?;
        let met = self.together.meeting.meet(Vec::new());
        if met.first {
            (self.together.begins)(order);
        }
        let begin = met.since + AHEAD;
        let at = i64::try_from(agent::now_us()).unwrap_or(i64::MAX)
            + i64::try_from(begin.saturating_duration_since(Instant::now()).as_micros()).unwrap_or(0)
            + self.side.clock_offset_us.unwrap_or(0);
        self.link.say(&Request::Begin { at_us: u64::try_from(at).unwrap_or(0) })?;
        let deadline = begin + order.duration() + SLACK;
        let Some(command) = self.together.how.work else {
            self.hear_until(&Reply::Done, deadline)?;
            return Ok(WorkDone::default());
        };
        let (target, together, over) = (self.outcome.target.clone(), self.together, AtomicBool::new(false));
        let span = (begin, begin + order.duration());
        let (heard, counted) = std::thread::scope(|scope| {
            let counting = scope
                .spawn(|| count(command, &target, span, || together.ends() || over.load(Ordering::Relaxed)));
            let heard = self.hear_until(&Reply::Done, deadline);
            over.store(true, Ordering::Relaxed);
            (heard, counting.join())
        });
        heard?;
        match counted {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(failure)) => self.outcome.failures.push((None, failure)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(WorkDone::default())
    }

    /// Takes what comes until that is said.
    fn hear_until(&mut self, last: &Reply, deadline: Instant) -> Result<(), Failure> {
        let mut asked_to_end = false;
        loop {
            if self.together.ends() && !std::mem::replace(&mut asked_to_end, true) {
                self.link.say(&Request::Stop)?;
            }
            if self.together.abandon.load(Ordering::Relaxed) {
                return Err(self.link.broken("it was not waited for"));
            }
            if Instant::now() >= deadline {
                return Err(self.link.broken("it does not come to an end"));
            }
            match self.link.hear(BEAT)? {
                Heard::Nothing | Heard::Reply(Reply::Alive) => {}
                Heard::Reply(reply) if reply == *last => return Ok(()),
                Heard::Reply(Reply::Part { tool }) => self.keep(tool)?,
                Heard::Reply(Reply::Failed { tool, code, message, hint }) => {
                    let failure = words::of_agent(&self.side.target, code.as_deref(), message, hint);
                    self.outcome.failures.push((tool, failure));
                }
                Heard::Reply(other) => return Err(self.link.confused(&other)),
                Heard::Data(bytes) => self.bytes.extend_from_slice(&bytes),
            }
        }
    }

    /// Keeps a recording that is whole.
    fn keep(&mut self, tool: Tool) -> Result<(), Failure> {
        let bytes = std::mem::take(&mut self.bytes);
        let read = Recording::read(&mut &bytes[..]);
        let recording = read.map_err(|error| {
            self.link.broken(&format!(
                "its recording of {} is damaged: {}",
                tool.as_str(),
                words::shortened(&error.to_string())
            ))
        })?;
        self.outcome.capture.recordings.push(Recording { side: Some(self.side.clone()), ..recording });
        Ok(())
    }
}
