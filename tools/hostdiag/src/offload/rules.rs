//! The audit under a policy: what its author accepts becomes a note.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};
use hostdiag_model::audit::Accepted;
use hostdiag_model::{Audit, OffloadData};

use super::judge;
use super::policy::{Accept, Date, Policy};
use crate::fail::{Code, Failure};

/// Where the policy of a host is.
const DEFAULT: &str = "/etc/hostdiag/offload.toml";

/// The rules of a host.
#[derive(Debug, Default)]
pub struct Rules(Policy);

/// The largest policy that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the policy: the named file, else on a live host its own, which may be
/// absent. What was recorded elsewhere is not judged by the policy of this host.
pub fn load(path: Option<&Path>, live: bool) -> Result<Rules> {
    let file = match path {
        Some(path) => path,
        None if live => Path::new(DEFAULT),
        None => return Ok(Rules::default()),
    };
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 == MAX_BYTES => {
            return Err(bad(format!("{}: larger than 1 MiB", file.display())));
        }
        Ok(_) => {}
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Rules::default());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read the policy {}", file.display()));
        }
    }
    let policy =
        Policy::parse(&text, &file.display().to_string()).map_err(|error| bad(format!("{error:#}")))?;
    Ok(Rules(policy))
}

fn bad(problem: String) -> anyhow::Error {
    Failure::new(Code::BadPolicy, problem).hint("hostdiag explain policy shows the format").into()
}

impl Rules {
    /// Rules about features that no device in `data` has: misspelt, or of
    /// another kernel.
    pub fn warnings(&self, data: &OffloadData) -> Vec<String> {
        let devices = data.namespaces.iter().flat_map(|namespace| &namespace.devices);
        let names: BTreeSet<&str> = devices
            .filter_map(|device| device.features.as_ref())
            .flat_map(|all| all.iter().map(|(name, _)| &**name))
            .collect();
        let known: Vec<&str> = names.into_iter().collect();
        let line = |(rule, near): (&Accept, Option<&str>)| {
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            format!("{}:{}: no device here has a feature {}{hint}", self.0.file, rule.line, rule.feature)
        };
        self.0.unknown_features(&known).into_iter().map(line).collect()
    }

    /// Judges `data` as of the day it was read, in milliseconds since 1970.
    pub fn audit(&self, data: &OffloadData, started_ms: u64) -> Audit {
        let day = date(started_ms);
        let accept = |device: &str, feature: &str| {
            let rule = self.0.accepts(device, feature, day)?;
            Some(Accepted { reason: rule.reason.clone(), until: rule.until.map(|until| until.to_string()) })
        };
        let expired = self.0.expired(day).filter_map(|rule| Some((rule, rule.until?)));
        let expired = expired.map(|(rule, until)| {
            format!("{}:{} ({} on {}, until {until})", self.0.file, rule.line, rule.feature, rule.device)
        });
        Audit { expired: expired.collect(), ..judge::audit(data, &accept) }
    }
}

/// The day (UTC) of a time in milliseconds since 1970, by the rules of the
/// Gregorian calendar.
fn date(ms: u64) -> Date {
    let day = hostdiag_model::time::Utc::from_ms(ms);
    Date { year: u16::try_from(day.year).unwrap_or(u16::MAX), month: day.month, day: day.day }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let day = |seconds: u64| date(seconds * 1000).to_string();
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_795_478_399), "2026-11-23");
        assert_eq!(day(4_107_542_399), "2100-02-28");
        assert_eq!(day(4_107_542_400), "2100-03-01");
    }
}
