//! Durations for people: `172 us`, `7.3 ms`.

/// A duration in ns with two or three digits, in the unit that needs no more.
pub fn duration(ns: u64) -> String {
    if ns < 1000 {
        return format!("{ns} ns");
    }
    let rounded = |size: u64| ns / size + u64::from(ns % size >= size / 2);
    let text = |size: u64, name| match rounded(size / 10) {
        tenths @ ..100 => format!("{}.{} {name}", tenths / 10, tenths % 10),
        _ => format!("{} {name}", rounded(size)),
    };
    // 999.5 us are 1.0 ms, not 1000 us.
    let units = [(1_000, "us"), (1_000_000, "ms")];
    let unit = units.into_iter().find(|(size, _)| rounded(*size) < 1000);
    let (size, name) = unit.unwrap_or((1_000_000_000, "s"));
    text(size, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_digits_that_count() {
        let expected = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 us"),
            (9_949, "9.9 us"),
            (9_950, "10 us"),
            (172_499, "172 us"),
            (999_499, "999 us"),
            (999_500, "1.0 ms"),
            (7_340_000, "7.3 ms"),
            (999_500_000, "1.0 s"),
            (1 << 40, "1100 s"),
            (u64::MAX, "18446744074 s"),
        ];
        for (ns, text) in expected {
            assert_eq!(duration(ns), text);
        }
    }
}
