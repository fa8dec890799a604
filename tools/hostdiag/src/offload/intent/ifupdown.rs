//! ifupdown and ifupdown2: /etc/network/interfaces (interfaces(5)) with what
//! it sources, and the hooks in /etc/network/if-*.d.

use std::collections::BTreeSet;

use super::commands;
use super::host::{Host, Place};
use super::ini;
use super::script::{self, Scope, Source};

const MANAGER: &str = "ifupdown";

/// As deep as files include each other.
const MAX_DEPTH: usize = 16;
/// More files are not read.
const MAX_FILES: usize = 1024;

/// Options whose commands run when an interface comes up.
const COMMANDS: [&str; 4] = ["pre-up", "up", "post-up", "up-line"];

/// Variables of a command that hold the device's name.
const VARIABLES: [&str; 2] = ["IFACE", "LOGICAL"];

/// An option of a stanza: its place, name and value.
struct Setting {
    file: String,
    line: u32,
    text: String,
    name: String,
    value: String,
}

/// One `iface` or `template`.
struct Stanza {
    name: String,
    template: bool,
    inherits: Vec<String>,
    settings: Vec<Setting>,
}

#[derive(Default)]
struct Interfaces {
    stanzas: Vec<Stanza>,
    seen: BTreeSet<String>,
    /// The line last read belongs to a stanza.
    inside: bool,
}

pub(super) fn search(host: &mut Host<'_>) {
    let mut interfaces = Interfaces::default();
    interfaces.file(host, "/etc/network/interfaces", 0);
    let mut managed = BTreeSet::new();
    for stanza in interfaces.stanzas.iter().filter(|stanza| !stanza.template) {
        let devices = host.named(&stanza.name);
        managed.extend(devices.iter().cloned());
        let scope = Scope { variables: &VARIABLES, devices, arguments: Vec::new() };
        interfaces.apply(host, stanza, (&scope, 0));
    }
    hooks(host, managed.into_iter().filter(|name| name != "lo").collect());
}

impl Interfaces {
    fn file(&mut self, host: &mut Host<'_>, path: &str, depth: usize) {
        if depth > MAX_DEPTH || self.seen.len() >= MAX_FILES || !self.seen.insert(path.to_owned()) {
            return;
        }
        let Some(text) = host.read(path) else { return };
        for (line, text) in commands::logical_lines(&text) {
            let trimmed = text.trim();
            if !trimmed.is_empty() && !trimmed.starts_with('#') {
                self.line(host, (path, line, trimmed), depth);
            }
        }
        self.inside = false;
    }

    fn folder(&mut self, host: &mut Host<'_>, path: &str, depth: usize) {
        let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        for name in host.list(path).into_iter().filter(plain) {
            self.file(host, &format!("{path}/{name}"), depth);
        }
    }

    fn line(&mut self, host: &mut Host<'_>, (path, line, text): (&str, u32, &str), depth: usize) {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match word {
            "iface" | "template" => self.stanza(word == "template", rest),
            "source" | "source-directory" => {
                // Relative to the file that says it.
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let pattern =
                    if rest.starts_with('/') { rest.to_owned() } else { format!("{folder}/{rest}") };
                for found in host.expand(&without_dots(&pattern)) {
                    match word {
                        "source" => self.file(host, &found, depth + 1),
                        _ => self.folder(host, &found, depth + 1),
                    }
                }
            }
            "auto" | "mapping" | "rename" | "no-auto-down" | "no-scripts" => self.inside = false,
            _ if word.starts_with("allow-") => self.inside = false,
            _ => {
                let Some(stanza) = self.stanzas.last_mut().filter(|_| self.inside) else { return };
                stanza.settings.push(Setting {
                    file: path.to_owned(),
                    line,
                    text: text.to_owned(),
                    name: word.to_owned(),
                    value: rest.to_owned(),
                });
            }
        }
    }

    /// `NAME [family method] [inherits TEMPLATE...]`.
    fn stanza(&mut self, template: bool, rest: &str) {
        let mut words = rest.split_whitespace();
        let Some(name) = words.next() else { return };
        let inherits = words.skip_while(|word| *word != "inherits").skip(1).map(str::to_owned).collect();
        self.stanzas.push(Stanza { name: name.to_owned(), template, inherits, settings: Vec::new() });
        self.inside = true;
    }

    /// Records the settings of a stanza, and of those it inherits from.
    fn apply(&self, host: &mut Host<'_>, stanza: &Stanza, (scope, depth): (&Scope, usize)) {
        for setting in &stanza.settings {
            setting.record(host, scope);
        }
        if depth >= MAX_DEPTH || scope.devices.is_empty() {
            return;
        }
        for parent in &stanza.inherits {
            // A stanza that inherits from itself leads nowhere.
            let parent =
                self.stanzas.iter().find(|other| other.name == *parent && !std::ptr::eq(*other, stanza));
            if let Some(parent) = parent {
                self.apply(host, parent, (scope, depth + 1));
            }
        }
    }
}

impl Setting {
    fn record(&self, host: &mut Host<'_>, scope: &Scope) {
        let place = Place { file: &self.file, line: self.line, text: &self.text, manager: MANAGER };
        if COMMANDS.contains(&self.name.as_str()) {
            return script::run(host, place, (&self.value, scope));
        }
        let (Some(feature), Some(on)) = (feature(&self.name), ini::boolean(&self.value)) else { return };
        for device in &scope.devices {
            host.ask(place, device, (&feature, on));
        }
    }
}

/// A path without `.` and `..`, so that one file has one name.
fn without_dots(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => _ = steps.pop(),
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

/// The feature of `offload-sg` (the hook of Debian's ethtool package, which
/// takes whatever follows) or `gro-offload` (ifupdown2).
fn feature(option: &str) -> Option<String> {
    let option = option.to_ascii_lowercase().replace('_', "-");
    if let Some(feature) = option.strip_prefix("offload-") {
        return Some(feature.to_owned());
    }
    let feature = option.strip_suffix("-offload")?;
    ["gro", "lro", "gso", "tso", "ufo", "tx", "rx"].contains(&feature).then(|| feature.to_owned())
}

/// Scripts that are run for every interface that ifupdown configures.
fn hooks(host: &mut Host<'_>, devices: Vec<String>) {
    let scope = Scope { variables: &VARIABLES, devices, arguments: Vec::new() };
    for folder in ["/etc/network/if-pre-up.d", "/etc/network/if-up.d"] {
        // run-parts(8) takes no other names.
        let runs = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        for name in host.list(folder).into_iter().filter(runs) {
            let path = format!("{folder}/{name}");
            if let Some(text) = host.read(&path) {
                script::scan(host, Source { file: &path, text: &text, manager: MANAGER }, &scope);
            }
        }
    }
}
