//! How values are spread, and how that changes over time.

use std::collections::BTreeMap;

use hostdiag_model::Histogram;
use hostdiag_model::trace::{Payload, Trace};

use super::{Axis, Chart, MOST, Series};

/// Percentiles over time, in hundredths of a per cent.
const PERCENTILES: [(u32, &str); 3] = [(5000, "p50"), (9000, "p90"), (9900, "p99")];

/// What is measured of what.
pub(super) struct Measured {
    /// Such as "calls".
    pub(super) events: &'static str,
    /// Such as "duration".
    pub(super) what: String,
    pub(super) axis: Axis,
}

impl Measured {
    fn about(&self, name: &str, histogram: &Histogram) -> String {
        let percentiles = PERCENTILES.iter().filter_map(|(hundredths, name)| {
            let bounds = histogram.percentile(*hundredths)?;
            Some(format!(", {name} {}", self.axis.value(bounds.middle())))
        });
        let mean = histogram.mean().map_or(String::new(), |mean| format!(", mean {}", self.axis.value(mean)));
        let (count, events) = (histogram.count(), self.events);
        format!("{name}: {count} {events}{}{mean}", percentiles.collect::<String>())
    }

    /// Events by what is measured: a line for each of the first rows, and the rest together.
    pub(super) fn spread(&self, rows: &[(String, Histogram)]) -> Chart {
        let shown = if rows.len() > MOST + 1 { MOST } else { rows.len() };
        let (most, rest) = rows.split_at(shown);
        let line = |name: String, histogram: &Histogram| {
            let about = self.about(&name, histogram);
            Series { name, about, points: steps(histogram) }
        };
        let mut series: Vec<Series> =
            most.iter().map(|(name, histogram)| line(name.clone(), histogram)).collect();
        if let Some(sum) = together(rest.iter().map(|(_, histogram)| histogram)) {
            series.push(line(format!("{} others", rest.len()), &sum));
        }
        let first = series.first().map_or(String::new(), |first| format!(" {}.", first.about));
        let (events, what) = (self.events, &self.what);
        Chart {
            title: format!("{} by {what}", capital(events)),
            description: format!("How many {events} have which {what}, from low to high.{first}"),
            x: self.axis.clone(),
            y: Axis::Number(events),
            series,
        }
    }

    /// Percentiles of all in a window; absent where there is one window.
    pub(super) fn over_time(
        &self,
        trace: &Trace,
        all: impl Fn(&Payload) -> Option<Histogram>,
    ) -> Option<Chart> {
        let windows: Vec<_> = trace.windows.iter().map(|window| (window, all(&window.payload))).collect();
        let series = PERCENTILES.iter().map(|(hundredths, name)| {
            let mut points = Vec::new();
            for (window, histogram) in &windows {
                let value = histogram.as_ref().and_then(|histogram| histogram.percentile(*hundredths));
                let value = value.map(|bounds| bounds.middle() as f64);
                let ends = [window.start_ms, window.end_ms].map(|ms| ms as f64 / 1000.0);
                points.extend(value.into_iter().flat_map(|value| ends.map(|end| (end, value))));
            }
            let of = |pick: fn(f64, f64) -> f64, from: f64| {
                self.axis.value(points.iter().map(|(_, value)| *value).fold(from, pick).max(0.0) as u64)
            };
            let about = format!("{name}: {} to {}", of(f64::min, f64::INFINITY), of(f64::max, 0.0));
            Series { name: (*name).into(), about, points }
        });
        (windows.len() > 1).then(|| Chart {
            title: match &self.axis {
                Axis::Duration => format!("{} over time", capital(&self.what)),
                _ => format!("{} over time", self.what),
            },
            description: format!(
                "Percentiles of the {} of all {}, by when they were counted.",
                self.what, self.events
            ),
            x: Axis::Time,
            y: self.axis.clone(),
            series: series.collect(),
        })
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// All in one; absent of none.
pub(super) fn together<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Option<Histogram> {
    let mut histograms = histograms.into_iter();
    let first = histograms.next()?.clone();
    Some(histograms.fold(first, |mut sum, other| {
        sum.merge(other);
        sum
    }))
}

/// Steps, four an octave: finer ones tell of the clock, not of calls.
fn steps(histogram: &Histogram) -> Vec<(f64, f64)> {
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
    points
}

/// The step that a value is in, of so many an octave: its start, and that of the next.
fn step(value: u64, parts: u64) -> (u64, u64) {
    let octave = 1 << value.max(1).ilog2();
    let width = (octave / parts).max(1);
    let low = octave + value.max(1).saturating_sub(octave) / width * width;
    (low, low.saturating_add(width))
}
