//! Which settings are known to cause which symptoms. The table is data: a rule is one
//! entry of it, and `rules_tests.rs` has a case for each.

use serde::{Serialize, Serializer};

use crate::diff::settings::Difference;
use crate::glob;
use crate::snapshot::Area;

mod table;

pub use table::RULES;

/// What one cause looks like. All patterns are shell patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name.
    pub id: &'static str,
    /// What happens, in a few words.
    pub what: &'static str,
    /// Settings that cause it, any of them.
    pub settings: &'static [Match],
    /// Functions that are called more, or take more time, where it is so. One of these, of
    /// `timers`, of `slow` or of `rates` has to have changed.
    pub signs: &'static [&'static str],
    /// Functions on whose stacks the cost of it is: a sample with one of them, or with a
    /// sign, is this rule's.
    pub path: &'static [&'static str],
    /// Timers that are started more; behind a blank for whom.
    pub timers: &'static [&'static str],
    /// Functions that take longer.
    pub slow: &'static [&'static str],
    /// Counters of the snapshot that grow faster.
    pub rates: &'static [&'static str],
    /// It is a cause without a setting that differs.
    pub alone: bool,
    /// What to look at on the worse host; `{of}` is the device.
    pub check: &'static str,
}

impl Rule {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        id: "",
        what: "",
        settings: &[],
        signs: &[],
        path: &[],
        timers: &[],
        slow: &[],
        rates: &[],
        alone: false,
        check: "",
    };

    /// The rule's entry for a setting that differs.
    pub fn of(&self, difference: &Difference) -> Option<&'static Match> {
        self.settings.iter().find(|one| one.fits(difference))
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id)
    }
}

/// Settings by area, and by their name or what they are of: a module, a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// What kind of thing it is.
    pub area: Area,
    /// Which.
    pub name: &'static str,
    /// The side that is worse off.
    pub worse: Worse,
}

/// By which value the worse side is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worse {
    /// The one that has it off, or has it not.
    Off,
    /// The one that has it on.
    On,
    /// The smaller number, the last where there are several.
    Less,
    /// Values do not tell.
    Either,
}

impl Match {
    fn fits(&self, difference: &Difference) -> bool {
        let place = || difference.places.iter().any(|place| glob::matches(self.name, &place.a));
        self.area == difference.area && (glob::matches(self.name, &difference.name) || place())
    }

    /// 1 where B is worse off, -1 where A is, 0 where the values do not tell.
    pub fn direction(&self, difference: &Difference) -> i8 {
        let sides = [difference.a.as_deref(), difference.b.as_deref()];
        let [a, b] = match self.worse {
            Worse::Either => return 0,
            Worse::Off => sides.map(|value| Some(f64::from(u8::from(!is_on(value))))),
            Worse::On => sides.map(|value| Some(f64::from(u8::from(is_on(value))))),
            Worse::Less => sides.map(|value| Some(-last_number(value?)?)),
        };
        match a.zip(b) {
            Some((a, b)) if a < b => 1,
            Some((a, b)) if a > b => -1,
            _ => 0,
        }
    }
}

fn is_on(value: Option<&str>) -> bool {
    let off = ["", "0", "n", "N", "off", "none", "no", "never", "disabled", "not set"];
    value.is_some_and(|value| !off.contains(&value) && !value.starts_with("off "))
}

fn last_number(value: &str) -> Option<f64> {
    value.split_whitespace().next_back()?.parse().ok()
}

/// Whether one of the patterns describes a name.
pub(super) fn any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| glob::matches(pattern, name))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
