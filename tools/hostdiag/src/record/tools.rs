//! The tools of a step, each as its command has it.

use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::time::Instant;

use anyhow::Result;
use hostdiag_model::trace::{Asked, AskedTimers, Filter, Head, Timing, Trace};
use hostdiag_model::{Data, Recording};

use super::plan::{Order, Tool};
use super::{Place, busiest};
use crate::fail::{Code, Failure};
use crate::host;
use crate::kernel::{leftovers, tracefs};
use crate::offload::live::{self, Scope};
use crate::offload::rules;
use crate::probe::discover::{self, Lists};
use crate::probe::funclatency::{self, Timed};
use crate::probe::modules::Modules;
use crate::probe::plan::Sides;
use crate::probe::process::Watch;
use crate::probe::profile::{HZ, Sampling};
use crate::probe::run::{self, Cost, Schedule, Tool as Traced};
use crate::probe::stack::{self, At, Options};
use crate::probe::stackcount;
use crate::probe::targets::{Request, Targets};
use crate::probe::timer_names;
use crate::snapshot::{self, Begun};
use crate::sys;

/// Runs one tool to its end. `begun` is the snapshot's, which was read before any other tool
/// loaded a program.
pub(super) fn run(order: &Order, place: &Place<'_>, begun: Option<Begun>) -> Result<Option<Recording>> {
    match place.tool {
        Tool::Snapshot => {
            let begun = begun.unwrap_or_else(snapshot::begin);
            Ok(place.start().map(|stop| begun.from_now().count(order.duration(), stop)))
        }
        Tool::Offload => offload(place),
        Tool::Profile => profile(order, place),
        Tool::TimerNames => timer_names(order, place),
        Tool::Funclatency => funclatency(order, place),
        Tool::Stackcount => stackcount(order, place),
    }
}

fn offload(place: &Place<'_>) -> Result<Option<Recording>> {
    let rules = rules::load(None, true)?;
    if place.start().is_none() {
        return Ok(None);
    }
    let clock = Instant::now();
    let mut recording = host::recording(place.tool.as_str(), Data::Trace(Box::default()));
    let (data, _) = live::data(&Scope::Here)?;
    let audit = rules.audit(&data, recording.started_ms);
    recording.data = Data::Offload(data, audit);
    recording.elapsed_ms = Some(clock.elapsed().as_millis() as u64);
    Ok(Some(recording))
}

fn profile(order: &Order, place: &Place<'_>) -> Result<Option<Recording>> {
    let (mut storage, filter) = (MaybeUninit::uninit(), Filter::default());
    let options = Options::of_samples();
    let mut sampling = Sampling::start(&mut storage, &filter, (HZ, false), options)?;
    let head = sampling.head(asked(&[]));
    trace(head, (order, place), &mut sampling)
}

fn timer_names(order: &Order, place: &Place<'_>) -> Result<Option<Recording>> {
    let mut storage = MaybeUninit::uninit();
    let options = timer_names::Options {
        asked: AskedTimers::default(),
        max_timers: timer_names::MOST,
        max_stacks: stack::MOST,
    };
    let mut counting = timer_names::Counting::start(&mut storage, &Filter::default(), options)?;
    let head = counting.head(asked(&[]));
    trace(head, (order, place), &mut counting)
}

fn funclatency(order: &Order, place: &Place<'_>) -> Result<Option<Recording>> {
    let (targets, patterns) = targets(order, Request { sides: Sides::Both, ..Request::default() })?;
    let timing = Timing { each_function: true, ..Timing::default() };
    let options = funclatency::Options {
        timing,
        max_memory: funclatency::MEMORY_MIB << 20,
        max_active: funclatency::ACTIVE,
    };
    let mut storage = MaybeUninit::uninit();
    let mut timed = Timed::start(&mut storage, targets, &Filter::default(), options)?;
    let kept = Some(timed.storage());
    let head = timed.done.head(Asked { timing: Some(timing), ..asked(&patterns) }, kept);
    trace(head, (order, place), &mut timed)
}

fn stackcount(order: &Order, place: &Place<'_>) -> Result<Option<Recording>> {
    let (targets, patterns) = targets(order, Request { stacks: true, ..Request::default() })?;
    let mut storage = MaybeUninit::uninit();
    let options = Options::of_events(At::Function);
    let mut counting = stackcount::Counting::start(&mut storage, targets, &Filter::default(), options)?;
    let head = counting.done.head(asked(&patterns), None);
    trace(head, (order, place), &mut counting)
}

fn asked(patterns: &[String]) -> Asked {
    let now = i64::try_from(crate::offload::from::now_ms() / 1000).unwrap_or(0);
    Asked { patterns: patterns.to_vec(), utc_offset_s: sys::utc_offset(now), ..Asked::default() }
}

/// What is attached to: of the functions that were asked for those that this kernel has.
fn targets(order: &Order, request: Request) -> Result<(Targets, Vec<String>)> {
    if let Some(name) = order.functions.iter().find(|name| !busiest::is_name(name)) {
        return Err(Failure::new(Code::BadPattern, format!("{name:?} is no name of a function")).into());
    }
    if order.functions.is_empty() {
        return Err(Failure::new(Code::NoMatch, "no function of the kernel stands out that can be traced")
            .hint("record while the host is busy, or name functions: --functions do_sendfile,tcp_sendmsg")
            .into());
    }
    leftovers::remove_stale_events(tracefs());
    let wanted: HashSet<&str> = order.functions.iter().map(String::as_str).collect();
    let found = discover::traceable(&Lists::read(), &wanted);
    let mut patterns: Vec<String> = order.functions.clone();
    patterns.retain(|name| found.contains(name));
    if patterns.is_empty() {
        let names = order.functions.join(", ");
        return Err(
            Failure::new(Code::NoSuchFunction, format!("this kernel can trace none of {names}")).into()
        );
    }
    let request = Request { patterns: patterns.clone(), ..request };
    Ok((Targets::resolve(&request)?, patterns))
}

/// Runs what is attached from the start to the end, and records it.
fn trace(
    head: Head,
    (order, place): (&Order, &Place<'_>),
    tool: &mut dyn Traced,
) -> Result<Option<Recording>> {
    let modules = Modules::of(&head);
    let Some(stop) = place.start() else { return Ok(None) };
    let cost = Cost::new(u64::from(order.max_overhead).saturating_mul(10_000), false);
    let mut recording = host::recording(place.tool.as_str(), Data::Trace(Box::default()));
    let (mut trace, clock) = (Trace { head, ..Trace::default() }, Instant::now());
    let watch = Watch::default();
    let schedule =
        Schedule { interval: None, duration: Some(order.duration()), start: clock, stop, watch: &watch };
    tool.gate(true);
    let finished = run::run(tool, schedule, cost, &mut |step| {
        trace.stacks.append(step.stacks).map_err(anyhow::Error::msg)?;
        trace.windows.push(step.window);
        Ok(true)
    })?;
    finished.account(&mut trace, &modules, &watch);
    recording.data = Data::Trace(Box::new(trace));
    recording.elapsed_ms = Some(clock.elapsed().as_millis() as u64);
    Ok(Some(recording))
}
