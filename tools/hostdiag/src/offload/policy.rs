//! The accept policy, `/etc/hostdiag/offload.toml`: which lost or switched-off
//! features of which devices are as they should be, why, and until when.
//!
//! ```toml
//! [[accept]]
//! device = "vlan*"               # shell pattern of interface names
//! feature = "tx-scatter-gather"  # kernel name, alias of ethtool (sg), or pattern
//! reason = "Firmware drops fragments, ticket NET-123"
//! until = 2027-01-31             # last day it counts; without it, for ever
//! ```
//!
//! Pure: text in, decisions out; the day is given by the caller. A policy that
//! cannot be read as a whole is an error, because half a policy would accept
//! or report the wrong things in silence.

use std::fmt;

use anyhow::{Context, Result, bail};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{glob, names};

/// What `/etc/hostdiag/offload.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Name of the file, for messages.
    pub file: String,
    /// The entries in the order of the file.
    pub accepts: Vec<Accept>,
}

/// One `[[accept]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Shell pattern of interface names.
    pub device: String,
    /// Kernel name, alias of ethtool, or shell pattern of kernel names.
    pub feature: String,
    /// Why that is right; one line, never empty.
    pub reason: String,
    /// The last day on which it counts.
    pub until: Option<Date>,
    /// Line of its `[[accept]]`, from 1.
    pub line: usize,
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Accept {
    /// Whether it no longer counts on `day`.
    pub fn expired(&self, day: Date) -> bool {
        self.until.is_some_and(|until| until < day)
    }

    /// Whether it is about that feature of that device, on any day.
    pub fn covers(&self, device: &str, feature: &str) -> bool {
        glob::matches(&self.device, device) && names::covers(&self.feature, feature)
    }
}

impl Policy {
    /// Reads the text of a policy; `name` is the file's name for messages.
    ///
    /// # Errors
    ///
    /// Text that is not TOML, keys that do not exist (the nearest one is
    /// named), missing or empty values, values of the wrong type; each with
    /// file and line.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        Reader { text, name }.policy()
    }

    /// The first entry that accepts this kernel feature on this device to be
    /// off on `day`. Expired entries accept nothing.
    pub fn accepts(&self, device: &str, feature: &str, day: Date) -> Option<&Accept> {
        self.accepts.iter().find(|accept| !accept.expired(day) && accept.covers(device, feature))
    }

    /// The entries that no longer count on `day`.
    pub fn expired(&self, day: Date) -> impl Iterator<Item = &Accept> {
        self.accepts.iter().filter(move |accept| accept.expired(day))
    }

    /// The entries whose feature none of `known` (kernel names) is, each with
    /// the nearest name: a misspelling, or a feature of another kernel.
    pub fn unknown_features<'a>(&'a self, known: &[&'a str]) -> Vec<(&'a Accept, Option<&'a str>)> {
        let aliases = names::ALIASES.iter().map(|alias| alias.short);
        let candidates: Vec<&str> = known.iter().copied().chain(aliases).collect();
        self.accepts
            .iter()
            .filter(|accept| names::alias(&accept.feature).is_none())
            .filter(|accept| !known.iter().any(|name| names::covers(&accept.feature, name)))
            .map(|accept| (accept, nearest(&accept.feature, &candidates)))
            .collect()
    }
}

/// The keys of an entry.
const KEYS: [&str; 4] = ["device", "feature", "reason", "until"];

/// How alike two words must be for one to be a misspelling of the other.
const ALIKE: f64 = 0.75;

/// The word most like `word`, if any is like it.
fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates.iter().map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate));
    scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

type Value<'a> = Spanned<DeValue<'a>>;

struct Reader<'a> {
    text: &'a str,
    name: &'a str,
}

impl Reader<'_> {
    fn policy(&self) -> Result<Policy> {
        let table = match DeTable::parse(self.text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                bail!("{}: {}", self.at(at), error.message());
            }
        };
        let mut policy = Policy { file: self.name.to_owned(), accepts: Vec::new() };
        for (key, value) in &table {
            if key.get_ref() != "accept" {
                bail!("{}: {}", self.at(key.span().start), unknown("table", key.get_ref(), &["accept"]));
            }
            let written = || format!("{}: write each entry as [[accept]]", self.at(key.span().start));
            let entries = value.get_ref().as_array().with_context(written)?;
            for entry in entries.iter() {
                let fields = entry.get_ref().as_table().with_context(written)?;
                policy.accepts.push(self.accept(fields, entry.span().start)?);
            }
        }
        Ok(policy)
    }

    fn accept(&self, fields: &DeTable<'_>, start: usize) -> Result<Accept> {
        for key in fields.keys() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                bail!("{}: {}", self.at(key.span().start), unknown("key", key.get_ref(), &KEYS));
            }
        }
        let text = |key: &str| self.text(key, fields.get(key), start);
        Ok(Accept {
            device: text("device")?,
            feature: text("feature")?,
            reason: text("reason")?,
            until: fields.get("until").map(|value| self.date(value)).transpose()?,
            line: self.line(start),
        })
    }

    /// A required string, its blanks reduced to single ones.
    fn text(&self, key: &str, value: Option<&Value<'_>>, start: usize) -> Result<String> {
        let Some(value) = value else {
            bail!("{}: this entry has no `{key}`, which it needs", self.at(start));
        };
        let at = self.at(value.span().start);
        let Some(text) = value.get_ref().as_str() else {
            bail!("{at}: `{key}` is to be a string, not {}", value.get_ref().type_str());
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            bail!("{at}: `{key}` is empty");
        }
        if text.contains(char::is_control) {
            bail!("{at}: `{key}` contains control characters");
        }
        Ok(text)
    }

    fn date(&self, value: &Value<'_>) -> Result<Date> {
        let date = value.get_ref().as_datetime().filter(|at| at.time.is_none()).and_then(|at| at.date);
        let Some(date) = date else {
            bail!(
                "{}: `until` is to be a day without quotes and time, such as 2027-01-31",
                self.at(value.span().start)
            );
        };
        Ok(Date { year: date.year, month: date.month, day: date.day })
    }

    fn at(&self, offset: usize) -> String {
        format!("{}, line {}", self.name, self.line(offset))
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

fn unknown(what: &str, word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates) {
        Some(name) => format!("unknown {what} `{word}`; did you mean `{name}`?"),
        None => format!("unknown {what} `{word}`; there are: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"# Reviewed by the network team.
[[accept]]
device = "vlan*"
feature = "tso"
reason = """Firmware drops
    fragments"""
until = 2027-01-31

[[accept]]
device = "eth[01]"
feature = "rx-gro"
reason = "router"
"#;

    fn day(year: u16, month: u8, day: u8) -> Date {
        Date { year, month, day }
    }

    fn policy(text: &str) -> Policy {
        Policy::parse(text, "offload.toml").unwrap()
    }

    #[test]
    fn entries_accept_until_their_last_day() {
        let policy = policy(TEXT);
        let accept = policy.accepts("vlan10", "tx-tcp6-segmentation", day(2027, 1, 31)).unwrap();
        assert_eq!((accept.reason.as_str(), accept.line), ("Firmware drops fragments", 2));
        assert_eq!(policy.accepts("vlan10", "tx-tcp6-segmentation", day(2027, 2, 1)), None);
        assert_eq!(policy.accepts("bond0", "tx-tcp6-segmentation", day(2026, 1, 1)), None);
        assert_eq!(policy.accepts("vlan10", "tx-scatter-gather", day(2026, 1, 1)), None);
        assert_eq!(policy.accepts("eth1", "rx-gro", day(9999, 12, 31)).unwrap().line, 9);
        assert_eq!(policy.expired(day(2027, 1, 31)).count(), 0);
        let expired: Vec<_> = policy.expired(day(2027, 2, 1)).map(|accept| accept.line).collect();
        assert_eq!(expired, [2]);
        assert_eq!(policy.accepts[0].until.unwrap().to_string(), "2027-01-31");
    }

    #[test]
    fn an_empty_policy_accepts_nothing() {
        assert_eq!(policy("").accepts("eth0", "rx-gro", day(2026, 1, 1)), None);
        assert!(policy("accept = []").accepts.is_empty());
    }

    #[test]
    fn errors_name_file_line_and_the_nearest_word() {
        let cases = [
            ("[[accpet]]\n", "line 1: unknown table `accpet`; did you mean `accept`?"),
            ("\nmode = 1\n", "line 2: unknown table `mode`; there are: accept"),
            ("[accept]\ndevice = 'a'\n", "line 1: write each entry as [[accept]]"),
            ("accept = [1]\n", "line 1: write each entry as [[accept]]"),
            ("[[accept]]\nreasn = 'x'\n", "line 2: unknown key `reasn`; did you mean `reason`?"),
            ("[[accept]]\nx = 'x'\n", "line 2: unknown key `x`; there are: device, feature, reason, until"),
            (
                "\n[[accept]]\ndevice = 'a'\nfeature = 'b'\n",
                "line 2: this entry has no `reason`, which it needs",
            ),
            ("[[accept]]\ndevice = 'a'\nfeature = 'b'\nreason = '  '\n", "line 4: `reason` is empty"),
            ("[[accept]]\ndevice = 7\n", "line 2: `device` is to be a string, not integer"),
            ("[[accept]]\ndevice = \"a\\u001b\"\n", "line 2: `device` contains control characters"),
            (
                "[[accept]]\ndevice='a'\nfeature='b'\nreason='c'\nuntil='2027-01-31'\n",
                "line 5: `until` is to be a day without quotes and time, such as 2027-01-31",
            ),
            (
                "[[accept]]\ndevice='a'\nfeature='b'\nreason='c'\nuntil=2027-01-31T10:00:00\n",
                "line 5: `until` is to be a day without quotes and time, such as 2027-01-31",
            ),
        ];
        for (text, message) in cases {
            let error = Policy::parse(text, "offload.toml").expect_err(text);
            assert_eq!(format!("{error}"), format!("offload.toml, {message}"));
        }
        for text in ["[[accept]\n", "[[accept]]\nuntil = 2027-13-01\n", "a = 1\na = 2\n"] {
            let error = Policy::parse(text, "offload.toml").expect_err(text).to_string();
            assert!(error.starts_with("offload.toml, line "), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn unknown_features_are_listed_with_a_hint() {
        let text = |feature: &str| format!("[[accept]]\ndevice='*'\nfeature='{feature}'\nreason='r'\n");
        let known = ["tx-scatter-gather", "rx-gro"];
        let hint = |feature: &str| {
            policy(&text(feature)).unknown_features(&known).first().map(|(_, hint)| hint.map(str::to_owned))
        };
        assert_eq!(hint("tx-scater-gather"), Some(Some("tx-scatter-gather".to_owned())));
        assert_eq!(hint("zzzzz"), Some(None));
        for fine in ["sg", "large-receive-offload", "tx-*", "rx-gro"] {
            assert_eq!(hint(fine), None, "{fine}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = Policy::parse(&text, "x");
        }

        #[test]
        fn never_panics_on_damaged_policies(at in 0..TEXT.len(), bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            let mut text = TEXT.as_bytes().to_vec();
            let end = (at + bytes.len()).min(text.len());
            text.splice(at..end, bytes);
            let _ = Policy::parse(&String::from_utf8_lossy(&text), "x");
        }
    }
}
