//! Lengths of time as they are typed: `10`, `10s`, `500ms`, `5m`, `2h`.

use std::time::Duration;

/// Reads a length of time: a whole number of seconds, or with its unit `ms`,
/// `s`, `m` or `h`.
///
/// # Errors
/// What is wrong with the text and which forms there are, for clap to print.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wrong = || "a length of time is a whole number with ms, s, m or h: 500ms, 10s, 5m, 2h".to_owned();
    let too_long = || "longer than anyone waits".to_owned();
    let number: u64 = match number.parse() {
        Ok(number) => number,
        Err(_) if digits > 0 => return Err(too_long()),
        Err(_) => return Err(wrong()),
    };
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or_else(too_long),
        "h" => number.checked_mul(3600).map(Duration::from_secs).ok_or_else(too_long),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_milliseconds_seconds_minutes_and_hours() {
        let seconds = Duration::from_secs;
        assert_eq!(parse("10"), Ok(seconds(10)));
        assert_eq!(parse("10s"), Ok(seconds(10)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("5m"), Ok(seconds(300)));
        assert_eq!(parse("2h"), Ok(seconds(7200)));
        assert_eq!(parse("0"), Ok(seconds(0)));
        for wrong in [
            "",
            "s",
            "-1",
            "1.5s",
            "10 s",
            "10d",
            "1s1",
            "\u{661}0",
            "99999999999999999999",
            "999999999999999999m",
            "99999999999999999h",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
