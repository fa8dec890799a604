//! The audit under a policy: what its author accepts becomes a note.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Result;
use hostdiag_model::audit::Accepted;
use hostdiag_model::{Audit, OffloadData};

use super::policy::{Accept, Date, Policy};
use super::{judge, trusted};
use crate::fail::{Code, Failure};

/// Where the policy of a host is.
const DEFAULT: &str = "/etc/hostdiag/offload.toml";

/// The rules of a host.
#[derive(Debug, Default)]
pub struct Rules(Policy);

/// The largest policy that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the policy for an audit: the named file, else on a live host its own,
/// which may be absent. What was recorded elsewhere is not judged by the policy
/// of this host.
pub fn load(path: Option<&Path>, live: bool) -> Result<Rules> {
    if path.is_none() && !live {
        return Ok(Rules::default());
    }
    read(path, |file| Ok(File::open(file)?))
}

/// Reads the policy that a repair obeys: the named file, else that of this
/// host, which may be absent.
///
/// # Errors
/// As of [`load`]; `unsafe-policy` where others than root can write it.
pub fn load_trusted(path: Option<&Path>) -> Result<Rules> {
    read(path, trusted::open)
}

fn read(path: Option<&Path>, open: impl Fn(&Path) -> Result<File>) -> Result<Rules> {
    let name = path.unwrap_or(Path::new(DEFAULT));
    let mut text = String::new();
    let read = open(name).and_then(|file| Ok(file.take(MAX_BYTES).read_to_string(&mut text)?));
    match read {
        Ok(length) if length as u64 == MAX_BYTES => {
            return Err(bad(format!("{}: larger than 1 MiB", name.display())));
        }
        Ok(_) => {}
        Err(error) if path.is_none() && is_absent(&error) => return Ok(Rules::default()),
        Err(error) if error.is::<Failure>() => return Err(error),
        Err(error) => {
            return Err(error.context(format!("failed to read the policy {}", name.display())));
        }
    }
    let policy =
        Policy::parse(&text, &name.display().to_string()).map_err(|error| bad(format!("{error:#}")))?;
    Ok(Rules(policy))
}

fn is_absent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn bad(problem: String) -> anyhow::Error {
    Failure::new(Code::BadPolicy, problem).hint("hostdiag explain policy shows the format").into()
}

impl Rules {
    /// The policy itself, with what may be repaired.
    pub fn policy(&self) -> &Policy {
        &self.0
    }

    /// Fails on a feature of `[repair]` that no kernel has, this one included.
    ///
    /// # Errors
    /// `bad-policy`, with file, line and the nearest name.
    pub fn check_features(&self, data: &OffloadData) -> Result<()> {
        self.0.check_features(&known(data)).map_err(|error| bad(error.to_string()))
    }

    /// Rules about features that no device in `data` has: misspelt, or of
    /// another kernel.
    pub fn warnings(&self, data: &OffloadData) -> Vec<String> {
        let known = known(data);
        let line = |(rule, near): (&Accept, Option<&str>)| {
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            format!("{}:{}: no device here has a feature {}{hint}", self.0.file, rule.line, rule.feature)
        };
        let accepts = self.0.unknown_features(&known).into_iter().map(line);
        let repairs = self.0.check_features(&known).err().map(|error| error.to_string());
        accepts.chain(repairs).collect()
    }

    /// The rule that accepts a loss, at a time in milliseconds since 1970.
    pub fn accepted(&self, device: &str, feature: &str, time_ms: u64) -> Option<Accepted> {
        let rule = self.0.accepts(device, feature, date(time_ms))?;
        Some(Accepted { reason: rule.reason.clone(), until: rule.until.map(|until| until.to_string()) })
    }

    /// Judges `data` as of the day it was read, in milliseconds since 1970.
    pub fn audit(&self, data: &OffloadData, started_ms: u64) -> Audit {
        let day = date(started_ms);
        let accept = |device: &str, feature: &str| self.accepted(device, feature, started_ms);
        let expired = self.0.expired(day).filter_map(|rule| Some((rule, rule.until?)));
        let expired = expired.map(|(rule, until)| {
            format!("{}:{} ({} on {}, until {until})", self.0.file, rule.line, rule.feature, rule.device)
        });
        Audit { expired: expired.collect(), ..judge::audit(data, &accept) }
    }
}

/// The names of all features that any device has.
fn known(data: &OffloadData) -> Vec<&str> {
    let devices = data.namespaces.iter().flat_map(|namespace| &namespace.devices);
    let features = devices.filter_map(|device| device.features.as_ref());
    let names: BTreeSet<&str> = features.flat_map(|all| all.iter().map(|(name, _)| &**name)).collect();
    names.into_iter().collect()
}

/// The day (UTC) of a time in milliseconds since 1970, by the rules of the
/// Gregorian calendar.
fn date(ms: u64) -> Date {
    let day = hostdiag_model::time::Utc::from_ms(ms);
    Date { year: u16::try_from(day.year).unwrap_or(u16::MAX), month: day.month, day: day.day }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::offload::policy::Mode;

    #[test]
    fn an_audit_reads_what_a_repair_does_not_obey() {
        let path = std::env::temp_dir().join(format!("hostdiag-rules-{}", std::process::id()));
        fs::write(&path, "mode = 'repair'\nrepair.features = ['sgg']\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let (audit, loose) = (load(Some(&path), true), load_trusted(Some(&path)));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let repair = load_trusted(Some(&path));
        fs::remove_file(&path).unwrap();
        let code = |error: anyhow::Error| error.downcast_ref::<Failure>().unwrap().code;
        assert_eq!(code(loose.unwrap_err()), Code::UnsafePolicy);
        assert_eq!(repair.unwrap().policy().mode(), Mode::Repair);
        let (rules, data) = (audit.unwrap(), OffloadData::default());
        assert_eq!(code(rules.check_features(&data).unwrap_err()), Code::BadPolicy);
        let warnings = rules.warnings(&data);
        assert!(warnings.len() == 1 && warnings[0].ends_with("did you mean `sg`?"), "{warnings:?}");
    }

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
