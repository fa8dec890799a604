//! A moment in UTC by the rules of the Gregorian calendar. No clock is read.

use std::fmt;

/// A moment in UTC, to the second. As text like `2026-11-23T23:59:59Z`
/// (RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc {
    /// Year.
    pub year: u64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59: Unix time has no leap seconds.
    pub second: u8,
}

impl Utc {
    /// The moment so many milliseconds after 1970 began.
    ///
    /// 400 years have 146097 days; years are counted from March, so that the
    /// leap day is a year's last.
    pub fn from_ms(ms: u64) -> Self {
        let seconds = ms / 1000;
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let of_day = seconds % 86_400;
        Self {
            year: era * 400 + year + carry,
            month: month as u8,
            day: day as u8,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A time of day on somebody's clock. As text like `23:27:25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay(Utc);

impl TimeOfDay {
    /// So many milliseconds after 1970 began in UTC, on a clock that is so many
    /// seconds ahead of UTC, or behind. Before 1970 it stands still.
    pub fn new(ms: u64, ahead_s: i32) -> Self {
        Self(Utc::from_ms(ms.saturating_add_signed(i64::from(ahead_s) * 1000)))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Utc { hour, minute, second, .. } = self.0;
        write!(f, "{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let text = |seconds: u64| Utc::from_ms(seconds * 1000).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(text(1_795_478_399), "2026-11-23T23:59:59Z");
        assert_eq!(text(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(text(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(Utc::from_ms(45_296_999).to_string(), "1970-01-01T12:34:56Z");
        // Anybody's file: no time is too late.
        assert!(Utc::from_ms(u64::MAX).year > 500_000_000);
    }

    #[test]
    fn a_time_of_day_is_that_of_its_place() {
        let text = |ahead_s| TimeOfDay::new(1_795_478_399_000, ahead_s).to_string();
        assert_eq!(text(0), "23:59:59");
        assert_eq!(text(19_800), "05:29:59");
        assert_eq!(text(-3_600), "22:59:59");
        assert_eq!(TimeOfDay::new(0, -1).to_string(), "00:00:00");
        assert_eq!(TimeOfDay::new(u64::MAX, i32::MAX).to_string().len(), 8);
    }
}
