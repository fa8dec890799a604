//! Numbers of comparisons: three digits, and what they are of.

use hostdiag_model::diff::Change;
use hostdiag_model::diff::stacks::{Amount, Unit};

/// `0`, `0.012`, `4.95`, `495`, `73.5k`, `1.98M`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    // 999.5 is 1.00k, not 1000.
    let steps = [(999.5e9, 1e12, "T"), (999.5e6, 1e9, "G"), (999.5e3, 1e6, "M"), (999.5, 1e3, "k")];
    let (unit, name) =
        steps.iter().find(|(from, ..)| size >= *from).map_or((1.0, ""), |(_, unit, name)| (*unit, *name));
    let value = value / unit;
    let digits = match value.abs() {
        0.0 => return "0".into(),
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 || unit > 1.0 => 2,
        // Three that are not 0, of what is not next to nothing.
        size => (2.0 - size.log10().floor()).clamp(3.0, 9.0) as usize,
    };
    let text = format!("{value:.digits$}");
    // Whole small numbers are counts more often than not.
    let text = if unit == 1.0 && value.fract() == 0.0 { format!("{value:.0}") } else { text };
    format!("{text}{name}")
}

/// `x2.69`, `x148`, or in words where one side has nothing.
pub(super) fn ratio(ratio: Option<f64>, a: f64, b: f64) -> String {
    match ratio {
        Some(ratio) => format!("x{}", short(ratio)),
        None if a == b => "-".into(),
        None if a == 0.0 => "new".into(),
        None => "gone".into(),
    }
}

/// `2.42..2.98`; nothing where nothing tells.
pub(super) fn interval(change: &Change) -> String {
    // Beside nothing there is no ratio that an interval could be of.
    let interval = change.interval.filter(|_| change.ratio.is_some());
    interval.map_or(String::new(), |[low, high]| format!("{}..{}", short(low), short(high)))
}

/// `+73.0k`, `-12`.
pub(super) fn signed(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", short(value))
}

/// An amount of stacks with its unit: `73.5k/s`, `12.3 %`.
pub(super) fn of_unit(value: f64, unit: Unit, show: fn(f64) -> String) -> String {
    match unit {
        Unit::Count => show(value),
        Unit::PerSecond => format!("{}/s", show(value)),
        Unit::BusyCores => format!("{} cores", show(value)),
        Unit::WaitingTasks => format!("{} tasks", show(value)),
        Unit::PerWork => format!("{}/work", show(value)),
        Unit::Share => format!("{} %", show(value * 100.0)),
    }
}

/// `495/s -> 73.5k/s (x148)`.
pub(super) fn step(amount: Amount, unit: Unit) -> String {
    let [a, b] = [amount.a, amount.b].map(|value| of_unit(value, unit, short));
    format!("{a} -> {b} ({})", ratio(amount.ratio(), amount.a, amount.b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let expected = [
            (0.0, "0"),
            (0.0124, "0.0124"),
            (0.78, "0.780"),
            (0.006_732, "0.00673"),
            (5.0, "5"),
            (4.951, "4.95"),
            (99.96, "100"),
            (495.1, "495"),
            (999.6, "1.00k"),
            (73_540.5, "73.5k"),
            (1_983_978.0, "1.98M"),
            (-730_454.0, "-730k"),
            (2e15, "2000T"),
        ];
        for (value, text) in expected {
            assert_eq!(short(value), text);
        }
        assert_eq!(signed(12.0), "+12");
        assert_eq!(signed(-12.0), "-12");
    }

    #[test]
    fn what_is_on_one_side_alone_has_no_ratio() {
        assert_eq!(ratio(Some(148.53), 1.0, 2.0), "x149");
        assert_eq!(ratio(None, 0.0, 2.0), "new");
        assert_eq!(ratio(None, 2.0, 0.0), "gone");
        assert_eq!(ratio(None, 0.0, 0.0), "-");
    }
}
