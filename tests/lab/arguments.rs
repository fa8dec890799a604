//! `hostdiag argcount` beside calls whose arguments are known.
use hostdiag_model::Histogram;
use hostdiag_model::histogram::Resolution;
use hostdiag_model::trace::{Payload, Value, ValueCount, arguments};

use super::trace::{Traced, Tracing};

/// The name of the thread that makes the calls: nothing else is counted, whatever the
/// test itself reads and writes meanwhile.
pub(crate) const WORKER: &str = "argworker";

/// Counts values while `work` runs in a thread of its own.
#[track_caller]
pub(crate) fn values(args: &[&str], work: impl FnOnce() + Send) -> Traced {
    let tracing = Tracing::start(&[&["argcount", "--format", "json", "--comm", WORKER], args].concat());
    as_worker(work);
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    if let Some(balance) = traced.accounting().balance() {
        assert_eq!(balance.entries, balance.accounted, "{:?}", traced.accounting());
    }
    traced
}

/// Runs it in a thread of that name.
#[track_caller]
pub(crate) fn as_worker(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(WORKER.into()).spawn_scoped(scope, work).unwrap();
        thread.join().unwrap();
    });
}

impl Traced {
    /// Values and how often they were seen, in all windows, sorted by value.
    #[track_caller]
    pub(crate) fn values(&self) -> Vec<ValueCount> {
        let windows = self.trace().windows.iter();
        arguments::merged(windows.flat_map(|window| match &window.payload {
            Payload::Values(counts) => counts.clone(),
            _ => panic!("no values"),
        }))
    }

    /// The same as text, a row each: `44 "eth0": 3`.
    #[track_caller]
    pub(crate) fn rows(&self) -> Vec<String> {
        let row = |count: &ValueCount| {
            let values: Vec<String> = count.key.values.iter().map(shown).collect();
            format!("{}: {}", values.join(" "), count.count)
        };
        self.values().iter().map(row).collect()
    }

    /// The distribution of the value, in all windows.
    #[track_caller]
    pub(crate) fn distribution(&self) -> Histogram {
        let mut sum = Histogram::new(Resolution::FINEST);
        for window in self.trace().windows.iter() {
            let Payload::Distribution(list) = &window.payload else { panic!("no distribution") };
            list.iter().for_each(|one| sum.merge(&one.histogram));
        }
        sum
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Unreadable => "unreadable".into(),
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Cut { cut } => format!("{cut:?}..."),
    }
}
