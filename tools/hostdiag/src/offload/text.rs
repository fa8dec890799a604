//! Reads the text of `ethtool -k`, of one device or of several, from the
//! ethtool of 2012 (3.x, ioctl) to today's (netlink).
//!
//! The text, with `>` for the tab (or blanks) in front of a member:
//!
//! ```text
//! Features for vlan10:
//! rx-checksumming: off [fixed]           an alias with one kernel feature: rx-checksum
//! tx-checksumming: on                    an alias with several: a heading, not a feature
//! >tx-checksum-ip-generic: on            its members, by their kernel names
//! highdma: on                            kernel features without an alias, at the end
//! ```
//!
//! Nothing is guessed: text that is not all there, or not of one host, is an
//! error with its line, because a feature that is missing would look like one
//! that the kernel does not have.

use std::collections::HashSet;
use std::fmt;

use hostdiag_model::features::{FeatureName, FeatureState};
use hostdiag_model::harmless::is_harmful;
use hostdiag_model::offload::Device;

use super::names::{self, Alias};

/// More text than this is refused, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// More lines than this are refused.
const MAX_LINES: usize = 100_000;
/// More features than this on one device are refused, as the model does.
const MAX_FEATURES: usize = 1024;
/// `ETH_GSTRING_LEN` of the kernel: its feature names fit, with their NUL.
const MAX_FEATURE_NAME: usize = 31;
/// `ALTIFNAMSIZ`, the longest name a device can be asked for, with its NUL.
const MAX_DEVICE_NAME: usize = 127;
/// How much of a line an error shows, in characters.
const SHOWN: usize = 60;

/// Why a text is not the whole output of `ethtool -k`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// Line, from 1.
    pub line: usize,
    /// What was found there, shortened, without control characters.
    pub found: String,
    /// Why that is wrong.
    pub why: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {:?}: {}; {}", self.line, self.found, self.why, self.remedy)
    }
}

impl std::error::Error for TextError {}

/// Reads the text of `ethtool -k` for one or more devices.
///
/// Gives the devices in the order of the text, with their features in the
/// order of the text under their kernel names, and without a link side. Line
/// ends may be CR LF, a byte order mark in front is skipped.
///
/// # Errors
///
/// Anything that is not complete output of `ethtool -k`: see [`TextError`].
pub fn parse(text: &str) -> Result<Vec<Device>, TextError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_size(text)?;
    let mut reader = Reader { unfinished: !text.is_empty() && !text.ends_with('\n'), ..Reader::default() };
    let lines = text.lines().count();
    for (index, line) in text.lines().enumerate() {
        let line = Line { number: index + 1, text: line, last: index + 1 == lines };
        check_characters(line)?;
        reader.read(line)?;
    }
    reader.finish(lines.max(1))
}

const SAVE_AGAIN: &str = "save it again: ethtool -k DEVICE > FILE";
const ONE_HOST: &str = "give the text of one host, each device once";

fn check_size(text: &str) -> Result<(), TextError> {
    let error = |line, why| TextError { line, found: shown(text), why, remedy: SAVE_AGAIN };
    if text.len() > MAX_BYTES {
        return Err(error(1, "over 4 MiB, which no host prints"));
    }
    match text.lines().nth(MAX_LINES) {
        Some(_) => Err(error(MAX_LINES + 1, "over 100000 lines, which no host prints")),
        None => Ok(()),
    }
}

fn check_characters(line: Line<'_>) -> Result<(), TextError> {
    if line.text.contains(|c: char| is_harmful(c) && c != '\t') {
        return Err(line.error("control characters, which ethtool does not print", SAVE_AGAIN));
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().chars().filter(|c| !is_harmful(*c)).take(SHOWN).collect()
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    text: &'a str,
    last: bool,
}

impl Line<'_> {
    fn error(self, why: &'static str, remedy: &'static str) -> TextError {
        TextError { line: self.number, found: shown(self.text), why, remedy }
    }
}

/// The alias that was read last, while its members may still follow.
struct Group {
    alias: &'static Alias,
    state: FeatureState,
    line: usize,
    members: usize,
}

/// What is known of the device whose lines are being read.
struct Block {
    device: String,
    line: usize,
    features: Vec<(FeatureName, FeatureState)>,
    seen: HashSet<FeatureName>,
    aliases: HashSet<&'static str>,
    group: Option<Group>,
    /// A kernel feature without an alias was read: the last part of the text.
    tail: bool,
}

#[derive(Default)]
struct Reader {
    devices: Vec<Device>,
    names: HashSet<String>,
    block: Option<Block>,
    /// The text does not end with a line end.
    unfinished: bool,
}

impl Reader {
    fn read(&mut self, line: Line<'_>) -> Result<(), TextError> {
        let text = line.text.trim();
        if text.is_empty() || is_warning(text) {
            return Ok(());
        }
        if let Some(name) = text.strip_prefix("Features for ") {
            return self.header(line, name);
        }
        if let Some(error) = foreign(line) {
            return Err(error);
        }
        let unfinished = self.unfinished && line.last;
        let Some(block) = &mut self.block else {
            return Err(line.error(
                "not the text of ethtool -k, which starts with \"Features for DEVICE:\"",
                SAVE_AGAIN,
            ));
        };
        block.read(line, unfinished)
    }

    fn header(&mut self, line: Line<'_>, name: &str) -> Result<(), TextError> {
        self.close()?;
        let Some(name) = name.strip_suffix(':') else {
            return Err(line.error("a heading without its colon: the text is cut off", SAVE_AGAIN));
        };
        let odd = |c: char| c.is_whitespace() || c == '/';
        if name.is_empty() || name.len() > MAX_DEVICE_NAME || name.contains(odd) {
            return Err(line.error("no device can have that name", SAVE_AGAIN));
        }
        if !self.names.insert(name.to_owned()) {
            return Err(line.error("the same device a second time", ONE_HOST));
        }
        self.block = Some(Block {
            device: name.to_owned(),
            line: line.number,
            features: Vec::new(),
            seen: HashSet::new(),
            aliases: HashSet::new(),
            group: None,
            tail: false,
        });
        Ok(())
    }

    /// Ends the device that was being read.
    fn close(&mut self) -> Result<(), TextError> {
        if let Some(block) = self.block.take() {
            self.devices.push(block.close()?);
        }
        Ok(())
    }

    fn finish(mut self, lines: usize) -> Result<Vec<Device>, TextError> {
        self.close()?;
        if self.devices.is_empty() {
            let found = "end of the text".to_owned();
            return Err(TextError { line: lines, found, why: "nothing in it", remedy: SAVE_AGAIN });
        }
        Ok(self.devices)
    }
}

impl Block {
    fn read(&mut self, line: Line<'_>, unfinished: bool) -> Result<(), TextError> {
        let (name, state) = split(line, unfinished)?;
        if line.text.starts_with([' ', '\t']) {
            let Some(group) = &mut self.group else {
                return Err(line.error("indented, but no group above it", SAVE_AGAIN));
            };
            if names::ALIASES.iter().any(|alias| alias.long == name) {
                return Err(line.error("a heading where a member of a group belongs", SAVE_AGAIN));
            }
            group.members += 1;
            return self.push(line, name, state);
        }
        self.end_group()?;
        let Some(alias) = names::ALIASES.iter().find(|alias| alias.long == name) else {
            // A name that belongs into a group does not show that all groups are over.
            self.tail |= !names::ALIASES.iter().any(|alias| names::covers(alias.kernel, name));
            return self.push(line, name, state);
        };
        if !self.aliases.insert(alias.long) {
            return Err(line.error("the same line a second time for this device", ONE_HOST));
        }
        self.group = Some(Group { alias, state, line: line.number, members: 0 });
        Ok(())
    }

    /// Ends the group above, now that all its members are known.
    fn end_group(&mut self) -> Result<(), TextError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let found = format!("{}: {}", group.alias.long, group.state);
        if group.members == 0 {
            if group.alias.is_group() {
                let why = "a group without its members: the text is cut off";
                return Err(TextError { line: group.line, found, why, remedy: SAVE_AGAIN });
            }
            let line = Line { number: group.line, text: &found, last: false };
            return self.push(line, group.alias.kernel, group.state);
        }
        match group.state {
            FeatureState::On | FeatureState::Off => Ok(()),
            _ => {
                let why = "the heading of a group has no [fixed] or [requested]";
                Err(TextError { line: group.line, found, why, remedy: SAVE_AGAIN })
            }
        }
    }

    fn push(&mut self, line: Line<'_>, name: &str, state: FeatureState) -> Result<(), TextError> {
        let name = FeatureName::from(name);
        if !self.seen.insert(name.clone()) {
            return Err(line.error("the same feature a second time for this device", ONE_HOST));
        }
        if self.features.len() >= MAX_FEATURES {
            return Err(line.error("over 1024 features, which no kernel has", SAVE_AGAIN));
        }
        self.features.push((name, state));
        Ok(())
    }

    fn close(mut self) -> Result<Device, TextError> {
        self.end_group()?;
        if !self.tail {
            // Every kernel has features without an alias, printed last.
            let why = if self.features.is_empty() {
                "a device without features: the text is cut off"
            } else {
                "the features after the groups (highdma, ...) are missing: the text is cut off"
            };
            let found = format!("Features for {}:", self.device);
            return Err(TextError { line: self.line, found, why, remedy: SAVE_AGAIN });
        }
        let features = Some(self.features.into_iter().collect());
        Ok(Device { name: self.device, link: None, features, vlan_features: None })
    }
}

/// Splits `name: state`.
fn split(line: Line<'_>, unfinished: bool) -> Result<(&str, FeatureState), TextError> {
    let cut_off = "the last line is not complete: the text is cut off";
    let Some((name, words)) = line.text.trim().split_once(':') else {
        let why = if unfinished {
            cut_off
        } else {
            "not a line of ethtool -k, which are \"name: on\" or \"name: off\""
        };
        return Err(line.error(why, SAVE_AGAIN));
    };
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if name.is_empty() || name.len() > MAX_FEATURE_NAME || name.starts_with('-') || name.contains(odd) {
        return Err(line.error("no feature has that name", SAVE_AGAIN));
    }
    if let Some(state) = FeatureState::parse(words.trim()) {
        return Ok((name, state));
    }
    let why = match words.trim() {
        "" => "a feature without its state: the text is cut off",
        start if unfinished && FeatureState::ALL.iter().any(|state| state.as_str().starts_with(start)) => {
            cut_off
        }
        _ => "not a state: on or off, alone or with [fixed], [requested on], [requested off]",
    };
    Err(line.error(why, SAVE_AGAIN))
}

/// Lines that ethtool before 5.0 mixes into its output when the kernel no
/// longer knows an old request; the features are complete without.
fn is_warning(text: &str) -> bool {
    text.starts_with("Cannot get device ") && text.contains(" settings: ")
}

/// Recognises what people hand over instead of `ethtool -k`.
fn foreign(line: Line<'_>) -> Option<TextError> {
    let text = line.text.trim();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    let (why, remedy) = if text == "no feature info available" {
        (
            "ethtool could not read the features of that device",
            "run it as root, in the device's network namespace",
        )
    } else if starts(&["netlink error:", "ethtool: ", "Cannot get device"]) {
        ("an error message of ethtool", "run ethtool -k where the device is, and save it again")
    } else if line.text.starts_with(['+', '-']) || starts(&["@@ ", "diff "]) {
        ("output of diff", "give the two texts of ethtool -k that were compared, not their difference")
    } else if starts(&["Offload parameters for "]) {
        ("output of an ethtool before 3.4, which does not name the kernel's features", "use a newer ethtool")
    } else if starts(&["Actual changes:"]) {
        ("output of ethtool -K, which names only what changed", "save ethtool -k (small k) instead")
    } else if starts(&["[", "{"]) {
        ("JSON", "save ethtool -k without --json")
    } else {
        return None;
    };
    Some(line.error(why, remedy))
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
