//! How durations are spread, and how that changes over time.

use std::collections::BTreeMap;

use hostdiag_model::Histogram;
use hostdiag_model::trace::{Latency, Payload, Trace, latency};

use super::{Axis, Chart, MOST, Series};
use crate::trace::duration::duration;
use crate::trace::latency::title;
use crate::trace::name;

/// Percentiles over time, in hundredths of a per cent.
const PERCENTILES: [(u32, &str); 3] = [(5000, "p50"), (9000, "p90"), (9900, "p99")];

/// The distribution; where there is more than one window, percentiles over time too.
pub(super) fn charts(trace: &Trace) -> Vec<Chart> {
    let mut charts = vec![spread(trace)];
    if trace.windows.iter().count() > 1 {
        charts.push(over_time(trace));
    }
    charts
}

/// All calls of a payload together.
fn together(payload: &Payload) -> Option<Histogram> {
    let Payload::Latency(list) = payload else { return None };
    let mut histograms = list.iter().map(|one| one.histogram.clone());
    let first = histograms.next()?;
    Some(histograms.fold(first, |mut sum, other| {
        sum.merge(&other);
        sum
    }))
}

/// Calls by duration: a line for each function or group that took longest in all, and
/// the rest together.
fn spread(trace: &Trace) -> Chart {
    let lists = trace.windows.iter().filter_map(|window| match &window.payload {
        Payload::Latency(list) => Some(list.clone()),
        _ => None,
    });
    let mut all = latency::merged(lists.flatten());
    all.sort_by_key(|one| std::cmp::Reverse(one.histogram.sum()));
    let shown = if all.len() > MOST + 1 { MOST } else { all.len() };
    let (most, rest) = all.split_at(shown);
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let line_of = |one: &Latency| match title(one, &functions) {
        all if all.is_empty() => line("all calls".into(), &one.histogram),
        name => line(name, &one.histogram),
    };
    let mut series: Vec<Series> = most.iter().map(line_of).collect();
    if let Some((first, others)) = rest.split_first() {
        let mut sum = first.histogram.clone();
        others.iter().for_each(|other| sum.merge(&other.histogram));
        series.push(line(format!("{} others", rest.len()), &sum));
    }
    let longest = series.first().map_or(String::new(), |first| format!(" {}.", first.about));
    Chart {
        title: "Calls by duration".into(),
        description: format!("How many calls took how long, from short to long.{longest}"),
        x: Axis::Duration,
        y: Axis::Number("calls"),
        series,
    }
}

/// Steps, four an octave: finer ones tell of the clock, not of calls.
fn line(name: String, histogram: &Histogram) -> Series {
    let parts = 1 << histogram.resolution().sub_bits().min(2);
    let mut steps: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for (bounds, count) in histogram.slots() {
        let sum = steps.entry(step(bounds.low, parts)).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut points = Vec::new();
    let mut end = None;
    for ((low, high), count) in steps {
        let (low, high) = (low as f64, high as f64);
        // Nothing is between slots that are not neighbours.
        match end {
            Some(before) if before < low => points.extend([(before, 0.0), (low, 0.0)]),
            None => points.push((low, 0.0)),
            Some(_) => {}
        }
        points.extend([(low, count as f64), (high, count as f64)]);
        end = Some(high);
    }
    points.extend(end.map(|end| (end, 0.0)));
    Series { about: about(&name, histogram), name, points }
}

/// The step that a duration is in, of so many an octave: its start, and that of the next.
fn step(value: u64, parts: u64) -> (u64, u64) {
    let octave = 1 << value.max(1).ilog2();
    let width = (octave / parts).max(1);
    let low = octave + value.max(1).saturating_sub(octave) / width * width;
    (low, low.saturating_add(width))
}

fn about(name: &str, histogram: &Histogram) -> String {
    let percentiles = PERCENTILES.iter().filter_map(|(hundredths, name)| {
        let bounds = histogram.percentile(*hundredths)?;
        Some(format!(", {name} {}", duration(bounds.middle())))
    });
    let mean = histogram.mean().map_or(String::new(), |mean| format!(", mean {}", duration(mean)));
    format!("{name}: {} calls{}{mean}", histogram.count(), percentiles.collect::<String>())
}

/// Percentiles of all calls of a window.
fn over_time(trace: &Trace) -> Chart {
    let windows: Vec<_> = trace.windows.iter().map(|window| (window, together(&window.payload))).collect();
    let series = PERCENTILES.iter().map(|(hundredths, name)| {
        let mut points = Vec::new();
        for (window, histogram) in &windows {
            let value = histogram.as_ref().and_then(|histogram| histogram.percentile(*hundredths));
            let value = value.map(|bounds| bounds.middle() as f64);
            let ends = [window.start_ms, window.end_ms].map(|ms| ms as f64 / 1000.0);
            points.extend(value.into_iter().flat_map(|value| ends.map(|end| (end, value))));
        }
        let of = |pick: fn(f64, f64) -> f64, from: f64| {
            duration(points.iter().map(|(_, value)| *value).fold(from, pick).max(0.0) as u64)
        };
        let about = format!("{name}: {} to {}", of(f64::min, f64::INFINITY), of(f64::max, 0.0));
        Series { name: (*name).into(), about, points }
    });
    Chart {
        title: "Duration over time".into(),
        description: "Percentiles of the durations of all calls, by when they returned.".into(),
        x: Axis::Time,
        y: Axis::Duration,
        series: series.collect(),
    }
}
