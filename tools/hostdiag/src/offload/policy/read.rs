//! From TOML to a policy. Every mistake is an error with its line.

use anyhow::{Context, Result, bail};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Accept, Date, DeviceLine, Feature, Mode, Policy, Repairs, glob, nearest, never};

/// What stands above the tables, and the tables.
const TOP: [&str; 3] = ["mode", "repair", "accept"];
/// The keys of `[repair]`.
const REPAIR: [&str; 4] = ["features", "include", "leave", "device"];
/// The keys of a `[[repair.device]]`.
const DEVICE: [&str; 2] = ["device", "features"];
/// The keys of an `[[accept]]`.
const ACCEPT: [&str; 4] = ["device", "feature", "reason", "until"];

/// The longest interface name (IFNAMSIZ of the kernel, less its end).
const MAX_NAME: usize = 15;

type Value<'a> = Spanned<DeValue<'a>>;

struct Reader<'a> {
    text: &'a str,
    name: &'a str,
}

/// Reads `text`, the policy of the file `name`.
pub(super) fn policy(text: &str, name: &str) -> Result<Policy> {
    Reader { text, name }.policy()
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
        let mut policy = Policy { file: self.name.to_owned(), ..Policy::default() };
        for (key, value) in &table {
            match key.get_ref().as_ref() {
                "mode" => policy.mode = self.mode(value)?,
                "repair" => {
                    let Some(fields) = value.get_ref().as_table() else {
                        bail!("{}: write it as [repair]", self.at(key.span().start));
                    };
                    policy.repairs = self.repairs(fields)?;
                }
                "accept" => {
                    for (fields, start) in self.entries("[[accept]]", key.span().start, value)? {
                        policy.accepts.push(self.accept(fields, start)?);
                    }
                }
                word => {
                    let value = value.get_ref();
                    let entries = value.as_array().and_then(|all| all.first());
                    let table = value.is_table() || entries.is_some_and(|entry| entry.get_ref().is_table());
                    let what = if table { "table" } else { "key" };
                    bail!("{}: {}", self.at(key.span().start), unknown(what, word, &TOP));
                }
            }
        }
        Ok(policy)
    }

    fn mode(&self, value: &Value<'_>) -> Result<Mode> {
        match self.text("mode", value)?.as_str() {
            "report" => Ok(Mode::Report),
            "repair" => Ok(Mode::Repair),
            word => {
                bail!("{}: {}", self.at(value.span().start), unknown("mode", word, &["report", "repair"]))
            }
        }
    }

    fn repairs(&self, fields: &DeTable<'_>) -> Result<Repairs> {
        self.keys(fields, &REPAIR)?;
        let mut repairs = Repairs::default();
        if let Some(value) = fields.get("features") {
            let features = self.features(value)?;
            let mut named = features.iter().filter(|feature| !glob::is_pattern(&feature.name));
            let never = named.find_map(|feature| Some((feature, never::reason(feature.only())?)));
            if let Some((Feature { name, line }, reason)) = never {
                let file = self.name;
                bail!(
                    "{file}, line {line}: no list covers `{name}` ({reason}); write a [[repair.device]] for the \
                     one device that is to have it"
                );
            }
            repairs.features = Some(features);
        }
        for (key, to) in [("include", &mut repairs.include), ("leave", &mut repairs.leave)] {
            if let Some(value) = fields.get(key) {
                *to = self.list(key, value)?.into_iter().map(|(pattern, _)| pattern).collect();
            }
        }
        if let Some((key, value)) = fields.get_key_value("device") {
            for (fields, start) in self.entries("[[repair.device]]", key.span().start, value)? {
                repairs.devices.push(self.device(fields, start, &repairs.leave)?);
            }
        }
        Ok(repairs)
    }

    fn device(&self, fields: &DeTable<'_>, start: usize, leave: &[String]) -> Result<DeviceLine> {
        self.keys(fields, &DEVICE)?;
        let device = self.required("device", fields, start)?;
        if glob::is_pattern(&device) {
            bail!("{}: a [[repair.device]] is for just one device, `{device}` is a pattern", self.at(start));
        }
        if device.len() > MAX_NAME {
            bail!("{}: `{device}` is longer than the name of any device", self.at(start));
        }
        if let Some(pattern) = leave.iter().find(|pattern| glob::matches(pattern, &device)) {
            bail!(
                "{}: `{device}` is left alone by `leave` (`{pattern}`); take one of them out",
                self.at(start)
            );
        }
        let Some(features) = fields.get("features") else {
            bail!("{}: this entry has no `features`, which it needs", self.at(start));
        };
        Ok(DeviceLine { device, features: self.features(features)? })
    }

    fn features(&self, value: &Value<'_>) -> Result<Vec<Feature>> {
        let feature = |(name, start)| Feature { name, line: self.line(start) };
        Ok(self.list("features", value)?.into_iter().map(feature).collect())
    }

    fn accept(&self, fields: &DeTable<'_>, start: usize) -> Result<Accept> {
        self.keys(fields, &ACCEPT)?;
        Ok(Accept {
            device: self.required("device", fields, start)?,
            feature: self.required("feature", fields, start)?,
            reason: self.required("reason", fields, start)?,
            until: fields.get("until").map(|value| self.date(value)).transpose()?,
            line: self.line(start),
        })
    }

    /// The entries of an array of tables, each with where it begins.
    fn entries<'v, 'a>(
        &self,
        written: &str,
        start: usize,
        value: &'v Value<'a>,
    ) -> Result<Vec<(&'v DeTable<'a>, usize)>> {
        let wrong = || format!("{}: write each entry as {written}", self.at(start));
        let entries = value.get_ref().as_array().with_context(wrong)?.iter();
        entries.map(|one| Ok((one.get_ref().as_table().with_context(wrong)?, one.span().start))).collect()
    }

    /// Fails on a key that is not one of these.
    fn keys(&self, fields: &DeTable<'_>, keys: &[&str]) -> Result<()> {
        for key in fields.keys() {
            let (word, at) = (key.get_ref().as_ref(), self.at(key.span().start));
            // In TOML a key belongs to the last table above it.
            if word == "mode" {
                bail!("{at}: write `mode` above the first table");
            }
            if !keys.contains(&word) {
                bail!("{at}: {}", unknown("key", word, keys));
            }
        }
        Ok(())
    }

    fn required(&self, key: &str, fields: &DeTable<'_>, start: usize) -> Result<String> {
        match fields.get(key) {
            Some(value) => self.text(key, value),
            None => bail!("{}: this entry has no `{key}`, which it needs", self.at(start)),
        }
    }

    /// Strings, at least one, each with where it begins.
    fn list(&self, key: &str, value: &Value<'_>) -> Result<Vec<(String, usize)>> {
        let at = self.at(value.span().start);
        let Some(entries) = value.get_ref().as_array() else {
            bail!("{at}: `{key}` is to be a list of strings, not {}", value.get_ref().type_str());
        };
        if entries.is_empty() {
            bail!("{at}: `{key}` is an empty list");
        }
        entries.iter().map(|entry| Ok((self.text(key, entry)?, entry.span().start))).collect()
    }

    /// A string, its blanks reduced to single ones.
    fn text(&self, key: &str, value: &Value<'_>) -> Result<String> {
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
