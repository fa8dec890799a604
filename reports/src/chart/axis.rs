//! What an axis measures, where its values lie and which of them have a label.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::trace::duration::duration;

/// An axis; values are in the unit named.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Axis {
    /// Seconds since the recording began.
    Time,
    /// Durations in ns, by their logarithm: a millisecond is to a second what a
    /// microsecond is to a millisecond.
    Duration,
    /// Other values likewise, of this expression.
    Value(String),
    /// Numbers from 0 on, of this.
    Number(&'static str),
    /// So many of this a second.
    Rate(&'static str),
}

/// So many labels, about.
const TICKS: f64 = 6.0;

impl Axis {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Time => "seconds".into(),
            Self::Duration => "duration".into(),
            Self::Value(name) => name.clone(),
            Self::Number(name) => (*name).into(),
            Self::Rate(name) => format!("{name} a second"),
        }
    }

    /// By the logarithm.
    fn is_log(&self) -> bool {
        matches!(self, Self::Duration | Self::Value(_))
    }

    /// A value of what is measured, in words.
    pub(super) fn value(&self, value: u64) -> String {
        if *self == Self::Duration { duration(value) } else { value.to_string() }
    }

    /// Where a value lies; below 1 there is nothing on one by the logarithm.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.is_log() { value.max(1.0).log10() } else { value }
    }

    /// From where to where the axis goes, for these places; never nothing.
    pub(super) fn range(&self, places: &[f64]) -> Range<f64> {
        let low = places.iter().copied().fold(f64::INFINITY, f64::min);
        let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !low.is_finite() || !high.is_finite() {
            return 0.0..1.0;
        }
        match self {
            Self::Time => 0.0..high.max(1e-3),
            Self::Number(_) | Self::Rate(_) => 0.0..(high * 1.05).max(1e-3),
            Self::Duration | Self::Value(_) => low.floor()..high.ceil().max(low.floor() + 1.0),
        }
    }

    /// Places that have a label.
    pub(super) fn ticks(&self, range: &Range<f64>) -> Vec<f64> {
        let length = range.end - range.start;
        if self.is_log() {
            // Ten labels have room beside each other.
            let step = (length / 9.0).ceil().max(1.0) as usize;
            let decades = ((range.start as i32)..=(range.end as i32)).step_by(step);
            let parts: &[f64] = if length <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let ticks =
                decades.flat_map(|decade| parts.iter().map(move |part| f64::from(decade) + part.log10()));
            return ticks.filter(|tick| range.contains(tick) || *tick == range.end).collect();
        }
        let step = step(length / TICKS);
        let first = (range.start / step).ceil() as i64;
        let last = (range.end / step).floor() as i64;
        (first..=last).map(|number| number as f64 * step).collect()
    }

    /// The label at a place.
    pub(super) fn label(&self, place: f64) -> String {
        match self {
            Self::Duration => duration(10_f64.powf(place).round() as u64).replace(".0 ", " "),
            Self::Value(_) => number(10_f64.powf(place).round()),
            Self::Time | Self::Number(_) | Self::Rate(_) => number(place),
        }
    }
}

/// An axis for certain values, as plotters asks for it. Its values are places.
pub(super) struct Scale<'a> {
    axis: &'a Axis,
    range: Range<f64>,
}

impl<'a> Scale<'a> {
    /// Of values in the unit of the axis.
    pub(super) fn of(axis: &'a Axis, values: impl Iterator<Item = f64>) -> Self {
        let places: Vec<f64> = values.map(|value| axis.place(value)).collect();
        Self { axis, range: axis.range(&places) }
    }
}

impl Ranged for Scale<'_> {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (place - self.range.start) / (self.range.end - self.range.start);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.axis.ticks(&self.range)
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Scale<'_> {
    fn format(place: &f64) -> String {
        // Labels are those of the axis, which the chart asks itself.
        place.to_string()
    }
}

/// The next of 1, 2 and 5 times a power of 10.
fn step(at_least: f64) -> f64 {
    let power = 10_f64.powf(at_least.max(1e-9).log10().floor());
    let parts = [1.0, 2.0, 5.0, 10.0];
    let step = parts.iter().map(|part| part * power).find(|step| *step >= at_least * 0.999);
    step.unwrap_or(power * 10.0)
}

/// A number with the letter of its size: `250`, `1.5k`, `20M`.
pub(super) fn number(value: f64) -> String {
    let sizes = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    let (size, letter) =
        sizes.into_iter().find(|(size, _)| value.abs() >= *size * 0.9995).unwrap_or((1.0, ""));
    let text = format!("{:.2}", value / size);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let expected =
            [(0.0, "0"), (0.25, "0.25"), (250.0, "250"), (999.9, "1k"), (1500.0, "1.5k"), (2e7, "20M")];
        for (value, text) in expected {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn labels_are_at_round_numbers() {
        let ticks = |axis: Axis, range: Range<f64>| {
            axis.ticks(&range).iter().map(|tick| axis.label(*tick)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ticks(Axis::Time, 0.0..10.0), "0 2 4 6 8 10");
        assert_eq!(ticks(Axis::Number("calls"), 0.0..63_000.0), "0 20k 40k 60k");
        assert_eq!(ticks(Axis::Duration, 3.0..7.0), "1 us 10 us 100 us 1 ms 10 ms");
        assert_eq!(ticks(Axis::Duration, 3.0..4.0), "1 us 2 us 5 us 10 us");
        assert_eq!(ticks(Axis::Duration, 0.0..13.0), "1 ns 100 ns 10 us 1 ms 100 ms 10 s 1000 s");
        assert_eq!(ticks(Axis::Value("size".into()), 0.0..5.0), "1 10 100 1k 10k 100k");
    }

    #[test]
    fn a_range_is_never_nothing() {
        for axis in [Axis::Time, Axis::Number("calls"), Axis::Duration, Axis::Value("size".into())] {
            for places in [&[][..], &[0.0], &[3.0, 3.0]] {
                let range = axis.range(places);
                assert!(range.end > range.start, "{axis:?} {places:?}");
                assert!(!axis.ticks(&range).is_empty(), "{axis:?} {places:?}");
            }
        }
    }
}
