//! `hostdiag funclatency` beside a workload that knows how long its calls took.
use hostdiag_model::Histogram;
use hostdiag_model::trace::Accounting;
use nix::unistd::gettid;

use super::trace::{Traced, Tracing};

/// Times calls while `work` runs, only events of this thread.
#[track_caller]
pub(crate) fn time(args: &[&str], work: impl FnOnce()) -> Traced {
    let thread = gettid().to_string();
    record(&[&["--tid", &thread], args].concat(), work)
}

/// As `time`, of whatever the arguments ask for.
#[track_caller]
pub(crate) fn record(args: &[&str], work: impl FnOnce()) -> Traced {
    let tracing = Tracing::start(&[&["funclatency", "--format", "json"], args].concat());
    work();
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    // Every call that began has one fate.
    if let Some(balance) = traced.accounting().balance() {
        assert_eq!(balance.entries, balance.accounted, "{:?}", traced.accounting());
    }
    assert_eq!(traced.accounting().returns, Some(traced.latency(None).count()));
    traced
}

/// Nothing was lost, and nothing is left.
#[track_caller]
pub(crate) fn complete(traced: &Traced) {
    let Accounting { entries, returns, in_flight, .. } = traced.accounting();
    assert_eq!(traced.accounting().losses().collect::<Vec<_>>(), []);
    assert_eq!((entries, in_flight.unwrap_or(0)), (returns, 0));
}

/// The n-th of the measured times lies between the n-th of the least and the n-th
/// of the most that they can be, each in order.
#[track_caller]
pub(crate) fn between(measured: &Histogram, mut least: Vec<u64>, mut most: Vec<u64>) {
    least.sort_unstable();
    most.sort_unstable();
    let sum = measured.sum();
    assert!((least.iter().sum()..=most.iter().sum()).contains(&sum), "{least:?} {measured:?} {most:?}");
    let (count, last) = (least.len() as u32, least.len() - 1);
    assert_eq!((measured.count(), 10_000 % count), (u64::from(count), 0));
    // These are kept beside the slots.
    assert!((least[0]..=most[0]).contains(&measured.min.unwrap()), "{least:?} {measured:?} {most:?}");
    assert!((least[last]..=most[last]).contains(&measured.max.unwrap()), "{least:?} {measured:?} {most:?}");
    for (rank, (least, most)) in (1..).zip(least.into_iter().zip(most)) {
        let found = measured.percentile(rank * 10_000 / count).unwrap();
        assert!(found.low <= most && found.high.unwrap() >= least, "{rank}: {least} {found:?} {most}");
    }
}
