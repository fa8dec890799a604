//! `hostdiag offload --fix`, `--undo`, `--history`, `--emit`, `--service`; from here to
//! `--watch`, `--hold` and `--release`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use hostdiag_model::history::History;
use hostdiag_model::plan::{Done, Fix, Plan, Step, Undone};
use hostdiag_model::{Data, Recording};
use hostdiag_report::fix as render;

use super::{Args, Format, metrics, watch};
use crate::fail::{Code, Failure, Status, as_root};
use crate::kernel::caps::{Capabilities, Capability};
use crate::net::events::{self, Settled};
use crate::net::netns::{self, Netns};
use crate::offload::fix::emit::{self, Manager};
use crate::offload::fix::repair::{Audience, Order, Repaired};
use crate::offload::fix::{history, repair};
use crate::offload::from;
use crate::offload::policy::Mode;
use crate::offload::rules::{self, Rules};
use crate::output::{self, Look};
use crate::stop::Stop;

/// Runs what was asked for.
pub(super) fn run(args: &Args, look: Look) -> Result<Status> {
    let asked = &args.fix;
    if asked.history {
        return past(args, look);
    }
    if let Some(manager) = asked.emit {
        return emit(args, look, manager);
    }
    if asked.undo.is_some() {
        return undo(args, look);
    }
    if asked.watch || !asked.hold.is_empty() || !asked.release.is_empty() {
        return alone(args);
    }
    let rules = rules::load_trusted(args.policy.as_deref())?;
    if asked.service {
        return service(args, look, &rules);
    }
    if asked.dry_run { dry_run(args, look, &rules) } else { fix(args, look, &rules) }
}

/// What changes the state of the watch, or is it.
fn alone(args: &Args) -> Result<Status> {
    privileged()?;
    if args.fix.watch {
        watch::watch(args)
    } else if args.fix.release.is_empty() {
        watch::hold(args, &args.fix.hold)
    } else {
        watch::release(&args.fix.release)
    }
}

fn named(args: &Args) -> Result<Option<Netns>> {
    args.netns.as_deref().map(netns::named).transpose()
}

fn order<'a>(args: &'a Args, rules: &'a Rules, netns: Option<&'a Netns>) -> Order<'a> {
    Order {
        netns,
        rules,
        only: &args.interfaces,
        physical: args.fix.physical.as_deref(),
        max_devices: args.fix.max_devices,
        observe: args.fix.observe,
        reason: args.fix.reason.as_deref(),
        unattended: None,
        beat: None,
        earlier: None,
    }
}

/// The plan, without root.
fn dry_run(args: &Args, look: Look, rules: &Rules) -> Result<Status> {
    let (started_ms, clock) = (from::now_ms(), Instant::now());
    let netns = named(args)?;
    let order = order(args, rules, netns.as_ref());
    let (facts, plan) = repair::plan(&order)?;
    for problem in &facts.namespace.problems {
        output::warn(&format!("{}: {}", problem.subject, problem.message));
    }
    let status = if plan.steps.is_empty() { Status::Fine } else { Status::Findings };
    let too_many = repair::few_enough(&plan, order.max_devices);
    print(args, look, &recording(started_ms, clock, Data::Fix(Fix { plan, run: None })))?;
    too_many.map(|()| status)
}

fn fix(args: &Args, look: Look, rules: &Rules) -> Result<Status> {
    let (started_ms, clock) = (from::now_ms(), Instant::now());
    privileged()?;
    let stop = Stop::new()?;
    let netns = named(args)?;
    let order = order(args, rules, netns.as_ref());
    let mut screen =
        Screen { look, all: args.all, observe: order.observe, quiet: args.format != Format::Text };
    let mut work = || repair::repair(&order, &stop, &mut screen);
    let repaired = match &netns {
        Some(netns) => netns::within(netns, work)?,
        None => work()?,
    };
    let status = status(&repaired);
    let fix = Fix { plan: repaired.plan, run: Some(repaired.run) };
    screen.put(&render::run::end(&fix, screen.options()));
    let recording = recording(started_ms, clock, Data::Fix(fix));
    keep(args, &recording)?;
    if args.format == Format::Json {
        output::write(|out| recording.write(out))?;
    }
    Ok(status)
}

/// Repairs are made for root: say so before anything is read or locked.
fn privileged() -> Result<()> {
    if Capabilities::of_this_thread().contains(Capability::NetAdmin) {
        return Ok(());
    }
    let message = "changing features needs CAP_NET_ADMIN; nothing was changed";
    Err(Failure::new(Code::NoPrivilege, message).hint(as_root()).into())
}

fn status(repaired: &Repaired) -> Status {
    let any = |what: fn(&Done) -> bool| repaired.run.steps.iter().any(what);
    if repaired.interrupted {
        Status::Interrupted
    } else if any(|done| matches!(done, Done::RolledBack { .. })) {
        Status::RolledBack
    } else if any(|done| matches!(done, Done::Failed { .. })) {
        Status::Error
    } else if !repaired.run.remaining.is_empty() {
        Status::Findings
    } else {
        Status::Fine
    }
}

/// Shows a repair while it goes on. That nobody reads is no reason to stop
/// half way.
struct Screen {
    look: Look,
    all: bool,
    observe: Duration,
    quiet: bool,
}

impl Screen {
    fn options(&self) -> render::Options {
        render::Options { all: self.all, style: self.look.style() }
    }

    fn put(&self, text: &str) {
        if !self.quiet {
            let _ = output::write(|out| out.write_all(text.as_bytes()));
        }
    }
}

impl Audience for Screen {
    fn recovered(&mut self, undone: &[Undone]) {
        self.put(&render::run::recovered(undone, self.options()));
    }

    fn plan(&mut self, plan: &Plan) {
        self.put(&render::plan::text(&crate::host::this().name, plan, self.options()));
    }

    fn step(&mut self, _run: &str, step: &Step, done: &Done) {
        self.put(&render::run::step(step, done, self.observe.as_millis() as u64, self.options()));
    }
}

fn undo(args: &Args, look: Look) -> Result<Status> {
    let (started_ms, clock) = (from::now_ms(), Instant::now());
    privileged()?;
    let stop = Stop::new()?;
    let id = args.fix.undo.as_ref().and_then(Option::as_deref);
    let undo = repair::undo(id, args.fix.reason.as_deref(), &stop)?;
    let conflicts = undo.runs.iter().any(Undone::conflicts);
    print(args, look, &recording(started_ms, clock, Data::Undo(undo)))?;
    Ok(if conflicts { Status::Findings } else { Status::Fine })
}

fn past(args: &Args, look: Look) -> Result<Status> {
    let (started_ms, clock) = (from::now_ms(), Instant::now());
    let (entries, problems) = history::read(Path::new(history::FILE))?;
    for problem in problems {
        output::warn(&format!("{}: {}", problem.subject, problem.message));
    }
    print(args, look, &recording(started_ms, clock, Data::History(History { entries })))?;
    Ok(Status::Fine)
}

/// What was repaired since boot, and what would be now, as configuration.
fn emit(args: &Args, look: Look, manager: Manager) -> Result<Status> {
    let rules = rules::load_trusted(args.policy.as_deref())?;
    let netns = named(args)?;
    let mut devices = repair::repaired(&order(args, &rules, netns.as_ref()))?;
    devices.retain(|repaired| args.interfaces.is_empty() || args.interfaces.contains(&repaired.device.name));
    let text = look.for_terminal(emit::emit(manager, &devices));
    output::write(|out| out.write_all(text.as_bytes()))?;
    Ok(Status::Fine)
}

/// As long no link or feature may change before the boot-time unit looks.
const QUIET: Duration = Duration::from_millis(500);
/// As long is waited for that at most.
const SETTLED_AT_LAST: Duration = Duration::from_secs(30);

fn service(args: &Args, look: Look, rules: &Rules) -> Result<Status> {
    match events::settle(QUIET, SETTLED_AT_LAST, &Stop::new()?)? {
        Settled::Quiet => {}
        Settled::Restless => output::warn("links still change after 30 s; going on with what is there"),
        Settled::Stopped => return Ok(Status::Interrupted),
    }
    match rules.policy().mode() {
        Mode::Repair => {
            let status = fix(args, look, rules);
            // Also of a repair that failed: what is lost then is what they are for.
            let written = args.metrics.as_deref().map_or(Ok(()), |path| metrics::look(path, args, rules));
            status.and_then(|status| written.map(|()| status))
        }
        Mode::Report => super::audit(args, look),
    }
}

fn recording(started_ms: u64, clock: Instant, data: Data) -> Recording {
    Recording {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        command: "offload".to_owned(),
        host: crate::host::this(),
        started_ms,
        elapsed_ms: Some(clock.elapsed().as_millis() as u64),
        side: None,
        loss: Vec::new(),
        data,
    }
}

fn keep(args: &Args, recording: &Recording) -> Result<()> {
    args.output.as_ref().map_or(Ok(()), |path| output::save(path, |out| recording.write(out)))
}

fn print(args: &Args, look: Look, recording: &Recording) -> Result<()> {
    keep(args, recording)?;
    let options = render::Options { all: args.all, style: look.style() };
    let text = match (&recording.data, args.format) {
        (_, Format::Json) => return Ok(output::write(|out| recording.write(out))?),
        (Data::Fix(fix), _) => render::text(recording, fix, options),
        (Data::Undo(undo), _) => render::undo::text(recording, undo, options),
        (Data::History(history), _) => render::history::text(recording, history, options),
        (Data::Offload(..) | Data::Trace(_) | Data::Snapshot(_), _) => return Ok(()),
    };
    Ok(output::write(|out| out.write_all(text.as_bytes()))?)
}
