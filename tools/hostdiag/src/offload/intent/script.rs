//! Shell scripts that call `ethtool -K`: which devices and features the words
//! of a command stand for, as far as the text of the script tells.
//!
//! Understood: literal names, patterns such as `/sys/class/net/eth*`, variables
//! that the script assigns or loops over, arguments given by the caller, and
//! tests of the device's name. What remains unknown becomes a problem, not a
//! guess.

use std::collections::BTreeMap;

use super::commands::{self, Command, Token};
use super::flow;
use super::host::{Host, Place};
use crate::offload::names;

/// A variable stands for at most this many words.
const MAX_WORDS: usize = 64;
/// Variables are followed this deep (`NICS=...; for nic in $NICS`).
const MAX_DEPTH: usize = 4;
/// Longer words with variables are not looked into, in bytes.
const MAX_WORD: usize = 256;

/// The device a script is run for: which words mean it, and which it may be.
#[derive(Clone, Default)]
pub(super) struct Scope {
    /// Names of variables, without `$`.
    pub(super) variables: &'static [&'static str],
    pub(super) devices: Vec<String>,
    /// `$1`, `$2`, ... as the caller wrote them.
    pub(super) arguments: Vec<String>,
}

/// What a word can be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Text(String),
    /// The device of the scope.
    This,
}

/// A text to be scanned, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) manager: &'static str,
}

/// Records what the `ethtool -K` lines of a script ask for.
pub(super) fn scan(host: &mut Host<'_>, source: Source<'_>, scope: &Scope) {
    if !commands::mentions(source.text) {
        return;
    }
    let lines = commands::logical_lines(source.text);
    let script = Script::read(&lines, scope);
    let is_device = |word: &str| script.meanings(word) == [Meaning::This];
    for ((line, text), limits) in lines.iter().zip(flow::limits(&lines, is_device)) {
        let place = Place { file: source.file, line: *line, text, manager: source.manager };
        let admitted = scope.devices.iter().filter(|device| limits.iter().all(|limit| limit.admits(device)));
        let devices: Vec<String> = admitted.cloned().collect();
        for command in commands::find(text) {
            script.record(host, place, (&command, &devices));
        }
    }
}

/// Records what one command line asks for, and what the scripts do that it
/// runs by their full path; those are not followed further.
pub(super) fn run(host: &mut Host<'_>, place: Place<'_>, (line, scope): (&str, &Scope)) {
    let script = Script::read(&[(place.line, line.to_owned())], scope);
    for command in commands::find(line) {
        script.record(host, place, (&command, &scope.devices));
    }
    follow(host, place.manager, (line, scope));
}

/// Reads the scripts that a command line runs by their full path.
pub(super) fn follow(host: &mut Host<'_>, manager: &'static str, (line, scope): (&str, &Scope)) {
    let tokens = commands::tokens(line);
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(path) = token else { continue };
        if path.contains(char::is_whitespace) && path.contains('/') && path.len() < line.len() {
            // sh -c '/path/to/script eth0'
            follow(host, manager, (path, scope));
        }
        if !path.starts_with('/') || path.contains(char::is_whitespace) {
            continue;
        }
        let arguments = tokens.iter().skip(index + 1).map_while(|token| match token {
            Token::Word(word) => Some(word.clone()),
            Token::End => None,
        });
        let arguments: Vec<String> = arguments.take(MAX_WORDS).collect();
        if !host.first_time(path, &[arguments.as_slice(), scope.devices.as_slice()].concat()) {
            continue;
        }
        if let Some(text) = host.read_script(path) {
            let scope = Scope { arguments, ..scope.clone() };
            scan(host, Source { file: path, text: &text, manager }, &scope);
        }
    }
}

/// What the variables of a script stand for.
struct Script<'a> {
    scope: &'a Scope,
    /// The words given to each.
    assigned: BTreeMap<String, Vec<String>>,
    /// What those words stand for in the end.
    resolved: BTreeMap<String, Vec<Meaning>>,
}

impl<'a> Script<'a> {
    fn read(lines: &[(u32, String)], scope: &'a Scope) -> Self {
        let mut script = Self { scope, assigned: BTreeMap::new(), resolved: BTreeMap::new() };
        for (_, line) in lines {
            script.assignments(&commands::tokens(line), MAX_DEPTH);
        }
        let arguments = (1..).zip(&scope.arguments);
        for (number, argument) in arguments {
            script.assign(&number.to_string(), std::iter::once(argument.as_str()));
        }
        script.resolve();
        script
    }

    /// Notes `NAME=words` and `for NAME in words`.
    fn assignments(&mut self, tokens: &[Token], depth: usize) {
        for (index, token) in tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            if let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) {
                self.assign(name, values(value).into_iter());
            } else if depth > 0 && word.contains(char::is_whitespace) {
                // sh -c "for NIC in ..."
                self.assignments(&commands::tokens(word), depth - 1);
            }
            let Some([Token::Word(name), Token::Word(within), rest @ ..]) = tokens.get(index + 1..) else {
                continue;
            };
            if word == "for" && within == "in" && is_name(name) {
                let words = rest.iter().map_while(|token| match token {
                    Token::Word(word) => Some(word.as_str()),
                    Token::End => None,
                });
                self.assign(name, words.flat_map(values));
            }
        }
    }

    fn assign<'w>(&mut self, name: &str, words: impl Iterator<Item = &'w str>) {
        let known = self.assigned.entry(name.to_owned()).or_default();
        for word in words {
            if known.len() < MAX_WORDS && !known.iter().any(|other| other == word) {
                known.push(word.to_owned());
            }
        }
    }

    /// Works out what the variables stand for, level by level, so that the
    /// cost stays bounded however they refer to each other.
    fn resolve(&mut self) {
        for _ in 0..MAX_DEPTH {
            let table = self.assigned.iter().map(|(name, words)| {
                let meanings = words.iter().flat_map(|word| self.meanings(word)).take(MAX_WORDS);
                (name.clone(), meanings.collect())
            });
            self.resolved = table.collect();
        }
    }

    /// What a word stands for; empty when that is not known.
    fn meanings(&self, word: &str) -> Vec<Meaning> {
        let Some((before, name, after)) = variable(word) else {
            return if word.contains('$') { Vec::new() } else { vec![Meaning::Text(word.to_owned())] };
        };
        if word.len() > MAX_WORD {
            return Vec::new();
        }
        let heads = match self.resolved.get(name) {
            _ if self.scope.variables.contains(&name) => &[Meaning::This],
            known => known.map_or(&[] as &[Meaning], Vec::as_slice),
        };
        if before.is_empty() && after.is_empty() {
            return heads.to_vec();
        }
        let tails = self.meanings(after);
        let mut meanings = Vec::new();
        for head in heads {
            for tail in &tails {
                if let (Meaning::Text(head), Meaning::Text(tail)) = (head, tail) {
                    meanings.push(Meaning::Text(format!("{before}{head}{tail}")));
                }
            }
        }
        meanings.truncate(MAX_WORDS);
        meanings
    }

    /// The devices a word of a command means; `None` when that is not known.
    fn devices(&self, host: &Host<'_>, word: &str, this: &[String]) -> Option<Vec<String>> {
        let meanings = self.meanings(word);
        if meanings.is_empty() {
            return None;
        }
        let devices = meanings.iter().flat_map(|meaning| match meaning {
            Meaning::This => this.to_vec(),
            // /sys/class/net/eth* means eth*.
            Meaning::Text(text) => host.named(text.rsplit('/').next().unwrap_or(text)),
        });
        Some(devices.collect())
    }

    /// The features and states of the words after the device: `sg off`, or
    /// `$FEATURE off`, or `$OPTIONS`. What follows the first word that is
    /// neither is not looked at.
    fn settings(&self, arguments: &[String]) -> Vec<(String, bool)> {
        let mut settings = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for argument in arguments {
            let mut added = false;
            for meaning in self.meanings(argument) {
                let Meaning::Text(word) = meaning else { return settings };
                match word.as_str() {
                    "on" | "off" => settings.extend(names.drain(..).map(|name| (name, word == "on"))),
                    _ if is_feature(&word) && (names.is_empty() || added) => {
                        added = true;
                        names.push(word);
                    }
                    _ => return settings,
                }
            }
        }
        settings
    }

    fn record(&self, host: &mut Host<'_>, place: Place<'_>, (command, this): (&Command, &[String])) {
        let settings = self.settings(&command.arguments);
        if settings.is_empty() {
            return;
        }
        let Some(devices) = self.devices(host, &command.device, this) else {
            host.undecided(place, &format!("its text does not tell which device {} is", command.device));
            return;
        };
        for device in devices {
            for (feature, on) in &settings {
                host.ask(place, &device, (feature, *on));
            }
        }
    }
}

/// The words of a value; none where a command makes them, except for the usual
/// way to name all devices.
fn values(value: &str) -> Vec<&str> {
    match value.trim() {
        "$(ls /sys/class/net)" | "$(ls /sys/class/net/)" => vec!["*"],
        made if made.contains("$(") || made.contains('`') => Vec::new(),
        plain => plain.split_whitespace().collect(),
    }
}

/// The first variable of a word, with what stands before and after it.
fn variable(word: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = word.split_once('$')?;
    let (body, braced) = match rest.strip_prefix('{') {
        Some(body) => (body, true),
        None => (rest, false),
    };
    let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(body.len());
    let (name, after) = body.split_at(end);
    // ${name##*/} and ${name:-x} are the name for our purpose.
    let after = if braced { after.split_once('}')?.1 } else { after };
    (!name.is_empty()).then_some((before, name, after))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name that ethtool may take for a feature: known, or of that shape.
fn is_feature(word: &str) -> bool {
    !names::expand(word).is_empty()
        || (word.contains('-') && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::devices;
    use super::*;

    const SCOPE: [&str; 2] = ["IFACE", "1"];
    const ALL: [&str; 7] = [
        "1:bond0 rx-all on",
        "1:br0 rx-all on",
        "1:enp3s0 rx-all on",
        "1:eth0 rx-all on",
        "1:eth1 rx-all on",
        "1:lo rx-all on",
        "1:vlan10 rx-all on",
    ];

    fn asked(text: &str) -> Vec<String> {
        let devices = devices();
        let mut host = Host::new(Path::new("/nonexistent"), &devices);
        let scope =
            Scope { variables: &SCOPE, devices: vec!["eth0".into(), "vlan10".into()], arguments: Vec::new() };
        scan(&mut host, Source { file: "/s", text, manager: "test" }, &scope);
        let found = host.finish();
        let intents = found.intents.iter().map(|intent| {
            let state = if intent.on { "on" } else { "off" };
            format!(
                "{}:{} {} {state}",
                intent.line,
                intent.device,
                intent.features.first().map_or("", |name| name)
            )
        });
        intents.chain(found.problems.iter().map(|problem| format!("? {}", problem.subject))).collect()
    }

    #[test]
    fn devices_and_features_are_told_from_the_text() {
        let cases: [(&str, &[&str]); 16] = [
            ("ethtool -K eth0 gro off", &["1:eth0 rx-gro off"]),
            ("ethtool -K absent gro off", &[]),
            ("ethtool -K $IFACE gro off", &["1:eth0 rx-gro off", "1:vlan10 rx-gro off"]),
            ("DEV=eth1\nethtool -K ${DEV} gro off", &["2:eth1 rx-gro off"]),
            ("I=\"$1\"\nethtool -K \"$I\" gro off", &["2:eth0 rx-gro off", "2:vlan10 rx-gro off"]),
            (
                "N=\"eth0 eth1\"\nfor n in $N; do ethtool -K $n lro off; done",
                &["2:eth0 rx-lro off", "2:eth1 rx-lro off"],
            ),
            (
                "for n in /sys/class/net/eth*; do\nethtool -K ${n##*/} lro on\ndone",
                &["2:eth0 rx-lro on", "2:eth1 rx-lro on"],
            ),
            (
                "for i in 0 1; do ethtool -K eth$i gso off; done",
                &["1:eth0 tx-generic-segmentation off", "1:eth1 tx-generic-segmentation off"],
            ),
            (
                "for f in gso gro; do\n  ethtool -K eth0 $f off\ndone",
                &["2:eth0 rx-gro off", "2:eth0 tx-generic-segmentation off"],
            ),
            ("O='gro off lro on'\nethtool -K eth0 $O", &["2:eth0 rx-gro off", "2:eth0 rx-lro on"]),
            ("ethtool -K \"$UNKNOWN\" gro off", &["? /s:1"]),
            ("ethtool -K $(ls /sys/class/net) gro off", &["? /s:1"]),
            ("N=\"$(ip link show dev eth0)\"\nethtool -K $N gro off", &["? /s:2"]),
            ("for n in $(ls /sys/class/net); do ethtool -K $n rx-all on; done", &ALL),
            ("ethtool -K \"$IFACE\" $SETTINGS", &[]),
            ("A=$B\nB=$A\nethtool -K $A gro off", &["? /s:3"]),
        ];
        for (text, expected) in cases {
            assert_eq!(asked(text), expected, "{text}");
        }
    }

    #[test]
    fn tests_of_the_name_narrow_the_devices() {
        let script =
            "I=$1\n[ \"$I\" = vlan10 ] || exit 0\nethtool -K $IFACE gro off\nethtool -K eth1 gro off";
        assert_eq!(asked(script), ["4:eth1 rx-gro off", "3:vlan10 rx-gro off"]);
    }
}
