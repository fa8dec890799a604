//! A run of a tracing tool: reads at the end of each window,
//! watches what it costs and whether what it watches is still there, closes the
//! gate, accounts.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Result;
use hostdiag_model::stacks::Additions;
use hostdiag_model::trace::{Accounting, Ended, Gone, Overhead, Payload, Trace, Window};

use super::filter::online_cpus;
use super::modules::Modules;
use super::process::Watch;
use super::stack::Collector;
use crate::stop::{Stop, Woken};
use crate::sys;

/// Width of a window where the interval is no whole number of these.
const SECOND: Duration = Duration::from_secs(1);

/// A tool whose programs are attached.
pub trait Tool {
    /// Opens or closes the gate: only while it is open something is counted.
    fn gate(&mut self, open: bool);
    /// What was counted since the last call.
    ///
    /// # Errors
    /// The counters cannot be read.
    fn read(&mut self) -> Result<Payload>;
    /// How many events went into what was just read: by these its cost is reckoned.
    fn events(&mut self, payload: &Payload) -> u64 {
        payload.events()
    }
    /// Its programs that are loaded.
    fn programs(&self) -> Vec<BorrowedFd<'_>>;
    /// What was counted and lost, after the gate was closed.
    fn account(&self) -> Accounting;
    /// Events lost so far.
    fn lost(&self) -> u64 {
        self.account().losses().map(|(_, lost)| lost).sum()
    }

    /// Who takes in the stacks of events, where it counts by these.
    fn collector(&mut self) -> Option<&mut Collector> {
        None
    }
}

/// When to read and when to end.
#[derive(Clone, Copy)]
pub struct Schedule<'a> {
    /// Time between two blocks of the result.
    pub interval: Option<Duration>,
    /// Time of the run; without it until a signal.
    pub duration: Option<Duration>,
    /// When counting began.
    pub start: Instant,
    /// Signals that end it.
    pub stop: &'a Stop,
    /// Processes without which there is nothing to trace.
    pub watch: &'a Watch,
}

impl Schedule<'_> {
    /// Windows of a second, unless intervals are no multiple of that.
    fn width(&self) -> Duration {
        match self.interval {
            Some(interval) if interval.as_nanos() % SECOND.as_nanos() != 0 => interval,
            _ => SECOND,
        }
    }
}

/// What tracing may cost, and how that is known.
pub struct Cost {
    statistics: Option<OwnedFd>,
    most_ppm: u64,
    measured: Option<Overhead>,
    events: u64,
}

/// All of the CPUs, in millionths: there is no more, whatever a price of the first second
/// comes to later.
const ALL: u64 = 1_000_000;

impl Cost {
    /// Switches the kernel's BPF statistics on, which `finish` switches off again.
    /// They cost every program of the host something, so where others have
    /// programs in the path of the network they stay off, unless `always`.
    pub fn new(most_ppm: u64, always: bool) -> Self {
        let foreign = || crate::kernel::foreign_programs().is_none_or(|count| count > 0);
        let on = always || !foreign();
        let open = || aya::sys::enable_stats(aya::sys::Stats::RunTime).ok();
        Self { statistics: if on { open() } else { None }, most_ppm, measured: None, events: 0 }
    }

    /// Takes what the programs used so far, and switches statistics off.
    fn measure(&mut self, tool: &dyn Tool, over: Duration, events: u64) {
        if self.statistics.take().is_none() {
            return;
        }
        let mut overhead = Overhead { over_ms: millis(over), cpus: online_cpus(), ..Overhead::default() };
        for program in tool.programs() {
            let used = sys::program_use(program).unwrap_or_default();
            overhead.run_time_ns += used.run_time_ns;
            overhead.runs += used.runs;
        }
        (self.measured, self.events) = (Some(overhead), events);
    }

    /// Whether a window with so many events cost more than is allowed, at the
    /// price of an event that was measured.
    fn too_much(&self, length: Duration, events: u64) -> bool {
        let Some(measured) = self.measured.as_ref().filter(|_| self.most_ppm < ALL) else { return false };
        let price = |events: u64| {
            let time = u128::from(measured.run_time_ns) * u128::from(events);
            time.checked_div(u128::from(self.events)).unwrap_or(0)
        };
        let run_time_ns = u64::try_from(price(events)).unwrap_or(u64::MAX);
        let cost = Overhead { run_time_ns, over_ms: millis(length).max(1), ..*measured };
        cost.share_ppm() > self.most_ppm
    }
}

/// What a run has come to.
pub struct Step<'a> {
    /// What was counted since the step before.
    pub window: Window,
    /// The stacks that it is the first to name.
    pub stacks: Additions,
    /// Who counts.
    pub tool: &'a dyn Tool,
    /// What that costs, once it was measured.
    pub overhead: Option<Overhead>,
}

/// How a run went.
pub struct Finished {
    /// What was counted and lost.
    pub accounting: Accounting,
    /// What our programs cost.
    pub overhead: Option<Overhead>,
}

impl Finished {
    /// Puts it into the trace, with what went away meanwhile.
    pub fn account(self, trace: &mut Trace, modules: &Modules, watch: &Watch) {
        let unloaded = modules.unloaded().map(|name| Gone::Module(name.to_owned()));
        let gone = unloaded.chain(watch.replaced().map(Gone::Program)).collect();
        trace.accounting = Some(Accounting { gone, ..self.accounting });
        trace.overhead = self.overhead;
    }
}

/// Runs a tool whose gate is open until its time is over, a signal comes, or
/// there is nothing left to watch. Every window goes to `each`, the last one after
/// the gate was closed. `each` tells whether somebody still reads the result; where
/// nobody does the run ends as by a signal.
///
/// # Errors
/// What `each` fails with; those of the tool.
pub fn run(
    tool: &mut dyn Tool,
    schedule: Schedule<'_>,
    mut cost: Cost,
    each: &mut dyn FnMut(Step<'_>) -> Result<bool>,
) -> Result<Finished> {
    let (start, width) = (schedule.start, schedule.width());
    let (mut before, mut total, mut read) = (Duration::ZERO, 0_u64, true);
    let ended = loop {
        let next = width * u32::try_from(before.as_nanos() / width.as_nanos() + 1).unwrap_or(u32::MAX);
        let next = schedule.duration.map_or(next, |duration| next.min(duration));
        let signal = !read || wait(tool, schedule.stop, start + next);
        let over = schedule.duration.is_some_and(|duration| start.elapsed() >= duration);
        let mut ended = match () {
            () if signal => Some(Ended::Signal),
            () if over => Some(Ended::Duration),
            () if schedule.watch.all_gone() => Some(Ended::Processes),
            () => None,
        };
        if ended.is_some() {
            close(tool);
        }
        let now = start.elapsed();
        let payload = tool.read()?;
        let events = tool.events(&payload);
        total += events;
        if now >= SECOND || ended.is_some() {
            cost.measure(tool, now, total);
        }
        let mut window = Window { start_ms: millis(before), end_ms: millis(now), payload };
        if ended.is_none() && cost.too_much(now.saturating_sub(before), events) {
            close(tool);
            window.merge(Window { payload: tool.read()?, ..window.clone() });
            ended = Some(Ended::Overhead);
        }
        let stacks = tool.collector().map(Collector::additions).unwrap_or_default();
        read = each(Step { window, stacks, tool, overhead: cost.measured })?;
        if let Some(ended) = ended {
            break ended;
        }
        before = now;
    };
    Ok(Finished { accounting: Accounting { ended, ..tool.account() }, overhead: cost.measured })
}

/// Waits until then or for a signal, and takes in the stacks that come; whether a
/// signal came.
fn wait(tool: &mut dyn Tool, stop: &Stop, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut collector = tool.collector();
        let arrivals = collector.as_ref().map(|collector| collector.arrivals());
        match (stop.wait_or(left, arrivals), &mut collector) {
            (Woken::Ready, Some(collector)) => collector.drain(),
            (woken, _) => return woken == Woken::Signal,
        }
        if left.is_zero() {
            return stop.requested();
        }
    }
}

/// Closes the gate and waits for the programs that have passed it.
fn close(tool: &mut dyn Tool) {
    tool.gate(false);
    sys::programs_have_ended();
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_cpus_are_never_too_much() {
        // A millisecond an event.
        let measured = Overhead { run_time_ns: 1_000_000, over_ms: 1000, cpus: 2, ..Overhead::default() };
        let too_much = |most_ppm: u64, events: u64| {
            let cost = Cost { statistics: None, most_ppm, measured: Some(measured), events: 1 };
            cost.too_much(Duration::from_secs(1), events)
        };
        assert!(!too_much(50_000, 100));
        assert!(too_much(50_000, 101));
        assert!(too_much(ALL - 1, 5000));
        assert!(!too_much(ALL, 5000));
    }
}
