//! Slots cover every value once; what is made of them keeps to what was added.

use proptest::prelude::*;

use super::*;

const UNITS: [Unit; 3] = [Unit::Ns, Unit::Us, Unit::Ms];

fn resolutions() -> impl Iterator<Item = Resolution> {
    (0..=4).map(|sub_bits| Resolution::new(sub_bits).unwrap())
}

fn histogram(resolution: Resolution, values: &[u64]) -> Histogram {
    let mut histogram = Histogram::new(resolution);
    values.iter().for_each(|value| histogram.add(*value, 1));
    histogram
}

/// The row as bcc counts it: of the value itself.
fn log2_row(value: u64, unit: Unit) -> usize {
    (value / unit.ns()).max(1).ilog2() as usize
}

fn log2_rows(values: &[u64], unit: Unit) -> Vec<u64> {
    let rows = values.iter().map(|value| log2_row(*value, unit)).max().map_or(0, |row| row + 1);
    let mut counts = vec![0; rows];
    values.iter().for_each(|value| counts[log2_row(*value, unit)] += 1);
    counts
}

/// As many short values as long ones.
fn values(most: u64) -> impl Strategy<Value = Vec<u64>> {
    let value = (0..most.ilog2() + 1).prop_flat_map(move |bits| 0..(1 << bits).min(most));
    prop::collection::vec(value, 1..200)
}

#[test]
fn the_number_of_slots_is_known() {
    let slots: Vec<u32> = resolutions().map(Resolution::slots).collect();
    assert_eq!(slots, [167, 201, 269, 405, 677]);
    assert_eq!(Resolution::new(5), None);
}

#[test]
fn slots_follow_each_other_without_a_gap_and_none_is_empty() {
    for resolution in resolutions() {
        let mut next = 0;
        for slot in 0..resolution.slots() {
            let bounds = resolution.bounds(slot).unwrap();
            assert_eq!(bounds.low, next);
            assert_eq!(resolution.slot(bounds.low), slot);
            let Some(high) = bounds.high else { continue };
            assert!(high >= bounds.low);
            assert_eq!(resolution.slot(high), slot);
            next = high + 1;
        }
        let last = resolution.slots() - 1;
        assert_eq!(resolution.bounds(last), Some(Bounds { low: 1 << 40, high: None }));
        assert_eq!(resolution.slot(u64::MAX), last);
        assert_eq!(resolution.bounds(last + 1), None);
    }
}

#[test]
fn the_middle_of_a_slot_is_as_near_as_is_said() {
    for resolution in resolutions() {
        for slot in 0..resolution.slots() - 1 {
            let bounds = resolution.bounds(slot).unwrap();
            let off = (bounds.high.unwrap() - bounds.middle()).max(bounds.middle() - bounds.low) as f64;
            assert!(off * 100.0 <= resolution.error_percent() * bounds.low as f64, "slot {slot}");
        }
    }
    assert_eq!(Resolution::FINEST.error_percent(), 3.125);
}

#[test]
fn no_slot_lies_across_a_boundary_of_a_log2_histogram() {
    for resolution in resolutions() {
        for slot in 0..resolution.slots() - 1 {
            let bounds = resolution.bounds(slot).unwrap();
            for unit in UNITS {
                assert_eq!(log2_row(bounds.low, unit), log2_row(bounds.high.unwrap(), unit), "{bounds:?}");
            }
        }
    }
}

#[test]
fn coarser_boundaries_are_finer_ones_too() {
    let lows = |resolution: Resolution| (0..resolution.slots()).map(move |slot| resolution.low(slot));
    let fine: Vec<u64> = lows(Resolution::FINEST).collect();
    assert!(resolutions().flat_map(lows).all(|low| fine.contains(&low)));
}

#[test]
fn what_is_longer_than_18_minutes_is_counted_apart() {
    let mut histogram = histogram(Resolution::FINEST, &[5, (1 << 40) - 1, 1 << 40, 1 << 50]);
    assert_eq!(histogram.overflow(), 2);
    assert_eq!(histogram.log2(Unit::Ns)[40], 2);
    assert_eq!(histogram.percentile(7_500), Some(Bounds { low: 1 << 40, high: Some(1 << 50) }));
    assert_eq!(histogram.percentile(10_000), Some(Bounds { low: 1 << 50, high: Some(1 << 50) }));
    histogram.max = None;
    assert_eq!(histogram.percentile(10_000), Some(Bounds { low: 1 << 40, high: None }));
    assert_eq!(histogram.percentile(10_000).unwrap().middle(), 1 << 40);
}

#[test]
fn nothing_has_no_mean_and_no_percentile() {
    let nothing = Histogram::new(Resolution::FINEST);
    assert_eq!((nothing.mean(), nothing.percentile(5000), nothing.min), (None, None, None));
    assert!(nothing.log2(Unit::Ns).is_empty());
    let mut some = histogram(Resolution::FINEST, &[7]);
    some.merge(&nothing);
    assert_eq!(some, histogram(Resolution::FINEST, &[7]));
}

#[test]
fn an_extreme_that_one_side_does_not_know_is_not_known() {
    let mut known = histogram(Resolution::FINEST, &[7, 9]);
    let mut unknown = histogram(Resolution::FINEST, &[8]);
    unknown.max = None;
    known.merge(&unknown);
    assert_eq!((known.min, known.max), (Some(7), None));
}

#[test]
fn extremes_narrow_what_they_can_and_break_nothing() {
    let mut values = histogram(Resolution::FINEST, &[64_100, 64_200, 64_300]);
    let bounds = |values: &Histogram, hundredths| {
        let Bounds { low, high } = values.percentile(hundredths).unwrap();
        (low, high.unwrap())
    };
    assert_eq!(
        [0, 5000, 10_000].map(|p| bounds(&values, p)),
        [(64_100, 64_100), (64_100, 64_300), (64_300, 64_300)]
    );
    // Another window's extremes: the slot alone counts.
    (values.min, values.max) = (Some(1), Some(2));
    assert_eq!([0, 10_000].map(|p| bounds(&values, p)), [(64_000, 65_535); 2]);
    // A file may say that one call took two times.
    let mut one = histogram(Resolution::FINEST, &[64_100]);
    one.max = Some(64_300);
    assert_eq!(bounds(&one, 5000), (64_300, 64_300));
    assert_eq!(one.percentile(5000).unwrap().middle(), 64_300);
}

#[test]
fn large_counts_stay_at_the_largest() {
    let mut histogram = histogram(Resolution::FINEST, &[]);
    histogram.add(u64::MAX, u64::MAX);
    histogram.add(10, u64::MAX);
    assert_eq!((histogram.count(), histogram.sum()), (u64::MAX, u64::MAX));
    assert_eq!(histogram.percentile(5000), Some(Bounds { low: 10, high: Some(10) }));
    assert_eq!(histogram.percentile(5001).unwrap().high, Some(u64::MAX));
}

#[test]
fn json_is_as_documented_and_damage_is_refused() {
    let text = r#"{"sub_bits":4,"count":3,"sum":130,"min":10,"max":64,"slots":[[10,1],[56,1],[64,1]]}"#;
    let read: Histogram = serde_json::from_str(text).unwrap();
    assert_eq!(read, histogram(Resolution::FINEST, &[10, 56, 64]));
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    let damages = [
        ("\"sub_bits\":4", "\"sub_bits\":5", "more than 4"),
        ("\"count\":3", "\"count\":4", "not the sum"),
        ("[64,1]", "[65,1]", "no slot begins at 65 ns"),
        ("[64,1]", "[56,1]", "not in its place"),
        ("[64,1]", "[64,0]", "is empty"),
        ("[64,1]", "[64,18446744073709551615]", "not the sum"),
        ("\"min\":10", "\"min\":65", "min is above max"),
    ];
    for (from, to, problem) in damages {
        let error = serde_json::from_str::<Histogram>(&text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(problem), "{to}: {error}");
    }
}

proptest! {
    #[test]
    fn a_value_lies_within_its_slot(value: u64, sub_bits in 0u8..=4) {
        for value in [value, value >> 24, value >> 44, value % 300] {
            let resolution = Resolution::new(sub_bits).unwrap();
            let bounds = resolution.bounds(resolution.slot(value)).unwrap();
            prop_assert!(bounds.low <= value && bounds.high.is_none_or(|high| value <= high));
        }
    }

    #[test]
    fn a_percentile_lies_within_its_bounds(values in values(1 << 44), hundredths in 0u32..=10_000, sub_bits in 0u8..=4) {
        let histogram = histogram(Resolution::new(sub_bits).unwrap(), &values);
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let rank = (values.len() * hundredths as usize).div_ceil(10_000).max(1);
        let bounds = histogram.percentile(hundredths).unwrap();
        prop_assert!(bounds.low <= sorted[rank - 1] && sorted[rank - 1] <= bounds.high.unwrap());
        prop_assert_eq!((histogram.min, histogram.max), (sorted.first().copied(), sorted.last().copied()));
    }

    #[test]
    fn count_sum_and_mean_are_exact(values in values(1 << 44)) {
        let histogram = histogram(Resolution::FINEST, &values);
        let (sum, count) = (values.iter().sum::<u64>(), values.len() as u64);
        prop_assert_eq!((histogram.sum(), histogram.count()), (sum, count));
        prop_assert!(histogram.mean().unwrap().abs_diff(sum / count) <= 1);
    }

    #[test]
    fn log2_histograms_are_exact(values in values(1 << 40), sub_bits in 0u8..=4) {
        let histogram = histogram(Resolution::new(sub_bits).unwrap(), &values);
        for unit in UNITS {
            prop_assert_eq!(histogram.log2(unit), log2_rows(&values, unit));
        }
    }

    #[test]
    fn merging_is_counting_together(a in values(1 << 44), b in values(1 << 44), bits in (0u8..=4, 0u8..=4)) {
        let (first, second) = (Resolution::new(bits.0).unwrap(), Resolution::new(bits.1).unwrap());
        let mut merged = histogram(first, &a);
        merged.merge(&histogram(second, &b));
        prop_assert_eq!(&merged, &histogram(first.min(second), &[a, b].concat()));
    }

    #[test]
    fn a_difference_is_what_was_merged(a in values(1 << 44), b in values(1 << 44)) {
        let mut earlier = Histogram::new(Resolution::FINEST);
        a.iter().for_each(|value| earlier.add(*value, 2));
        let new = histogram(Resolution::FINEST, &b);
        let mut later = earlier.clone();
        later.merge(&new);
        prop_assert_eq!(later.since(&earlier), Some(Histogram { min: None, max: None, ..new }));
        prop_assert_eq!(earlier.since(&later), None);
        prop_assert_eq!(later.since(&earlier.coarser(Resolution::new(3).unwrap())), None);
    }

    #[test]
    fn an_array_of_the_kernel_is_read_as_it_was_counted(values in values(1 << 44), sub_bits in 0u8..=4) {
        let resolution = Resolution::new(sub_bits).unwrap();
        let mut counts = vec![0; resolution.slots() as usize];
        values.iter().for_each(|value| counts[resolution.slot(*value) as usize] += 1);
        let read = Histogram::from_counts(resolution, &counts, values.iter().sum());
        let expected = Histogram { min: None, max: None, ..histogram(resolution, &values) };
        prop_assert_eq!(read, Some(expected));
        prop_assert_eq!(Histogram::from_counts(resolution, &counts[1..], 0), None);
    }

    #[test]
    fn what_is_written_is_read(values in values(1 << 44), sub_bits in 0u8..=4) {
        let histogram = histogram(Resolution::new(sub_bits).unwrap(), &values);
        let text = serde_json::to_string(&histogram).unwrap();
        prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
    }
}
