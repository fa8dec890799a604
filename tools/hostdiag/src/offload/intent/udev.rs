//! udev rules (udev(7)) that run `ethtool -K`, or a script that does.

use hostdiag_model::offload::Device;

use super::commands;
use super::host::{Host, Place};
use super::matching::{self, Verdict};
use super::script::{self, Scope};
use crate::offload::glob;

/// By falling priority.
const FOLDERS: [&str; 5] = [
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
];

/// What udev replaces by the name of the device.
const NAMES: [&str; 6] = ["$env{INTERFACE}", "%E{INTERFACE}", "$name", "$kernel", "%k", "$env{ID_NET_NAME}"];

/// The variable that takes their place, which no script assigns.
const THIS: &str = "UDEV_DEVICE";

/// One `KEY=="value"` of a rule.
struct Token<'a> {
    key: &'a str,
    operator: &'a str,
    value: String,
}

pub(super) fn search(host: &mut Host<'_>) {
    for path in host.layered(&FOLDERS, ".rules").into_values() {
        let Some(text) = host.read(&path) else { continue };
        for (line, text) in commands::logical_lines(&text) {
            if !text.trim_start().starts_with('#') {
                rule(host, Place { file: &path, line, text: &text, manager: "udev" });
            }
        }
    }
}

fn rule(host: &mut Host<'_>, place: Place<'_>) {
    let tokens = tokens(place.text);
    let run = |token: &&Token<'_>| {
        token.key.starts_with("RUN") || token.key == "PROGRAM" || token.key.starts_with("IMPORT{program")
    };
    let commands: Vec<&Token<'_>> = tokens.iter().filter(run).collect();
    if commands.is_empty() || !about_network(&tokens) {
        return;
    }
    let verdicts: Vec<_> =
        host.devices.iter().map(|device| (verdict(device, &tokens), &device.name)).collect();
    let meant = verdicts.iter().filter(|(verdict, _)| *verdict == Verdict::Yes);
    let devices: Vec<String> = meant.map(|(_, name)| (*name).clone()).collect();
    if devices.is_empty() && verdicts.iter().any(|(verdict, _)| *verdict == Verdict::Unknown) {
        if commands.iter().any(|token| !commands::find(&token.value).is_empty()) {
            host.undecided(place, "the devices of the rule cannot be told");
        }
        return;
    }
    if devices.is_empty() {
        return;
    }
    let scope = Scope { variables: &[THIS], devices, arguments: Vec::new() };
    for token in commands {
        let line =
            NAMES.iter().fold(token.value.clone(), |line, name| line.replace(name, &format!("${THIS}")));
        script::run(host, place, (&line, &scope));
    }
}

/// Whether a rule can be about network devices: of that subsystem, or naming
/// one; rules for disks run scripts too.
fn about_network(tokens: &[Token<'_>]) -> bool {
    let subsystem =
        tokens.iter().find(|token| matches!(token.key, "SUBSYSTEM" | "SUBSYSTEMS") && token.operator == "==");
    subsystem.is_none_or(|token| token.value.split('|').any(|value| glob::matches(value, "net")))
}

/// Whether the conditions of a rule mean the device.
fn verdict(device: &Device, tokens: &[Token<'_>]) -> Verdict {
    let conditions = tokens.iter().filter(|token| matches!(token.operator, "==" | "!="));
    let verdicts = conditions.map(|token| {
        let holds = condition(device, token);
        if token.operator == "==" { holds } else { holds.negate() }
    });
    verdicts.min().unwrap_or(Verdict::Yes)
}

fn condition(device: &Device, token: &Token<'_>) -> Verdict {
    let any = |test: &dyn Fn(&str) -> Verdict| token.value.split('|').map(test).max().unwrap_or(Verdict::No);
    match token.key {
        // The event is what makes the rule run; when, does not matter here.
        "ACTION" | "SUBSYSTEM" | "SUBSYSTEMS" => (token.operator == "==").into(),
        "KERNEL" | "KERNELS" => any(&|pattern| matching::was_named(device, pattern)),
        "NAME" | "ENV{INTERFACE}" | "ENV{ID_NET_NAME}" => {
            any(&|pattern| matching::is_named(device, pattern).into())
        }
        "ATTR{address}" => matching::has_mac(device, token.value.split('|')),
        "DRIVERS" | "ENV{ID_NET_DRIVER}" => match matching::driver(device) {
            Some(driver) => any(&|pattern| glob::matches(pattern, driver).into()),
            None => Verdict::Unknown,
        },
        "ENV{DEVTYPE}" => match matching::device_type(device) {
            Some(kind) => any(&|pattern| glob::matches(pattern, kind).into()),
            None => Verdict::Unknown,
        },
        _ => Verdict::Unknown,
    }
}

/// Reads `KEY{attribute}=="value", ...`; stops where the line is no rule.
fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('"') {
        let (head, after) =
            (rest.get(..start).unwrap_or_default(), rest.get(start + 1..).unwrap_or_default());
        let head = head.trim_start_matches([',', ' ', '\t']).trim_end();
        // e"..." and i"..." are strings with escapes, or compared without case.
        let head = head.strip_suffix(['e', 'i']).filter(|head| head.ends_with('=')).unwrap_or(head);
        let at = head.find(['=', '!', '+', '-', ':']).unwrap_or(head.len());
        let (key, operator) = head.split_at(at);
        let Some((value, left)) = quoted(after) else { break };
        tokens.push(Token { key: key.trim(), operator: operator.trim(), value });
        rest = left;
    }
    tokens
}

/// The text up to the closing quote, and what follows; `\"` is a quote in it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                '"' => value.push('"'),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_split_into_tokens() {
        let line = r#"ACTION=="add", KERNEL!="lo|v*",ATTR{address}=="aa" , RUN+="/bin/sh -c \"x $name\"", NAME=e"a""#;
        let shown: Vec<_> =
            tokens(line).iter().map(|t| format!("{} {} {}", t.key, t.operator, t.value)).collect();
        let expected = [
            "ACTION == add",
            "KERNEL != lo|v*",
            "ATTR{address} == aa",
            "RUN += /bin/sh -c \"x $name\"",
            "NAME = a",
        ];
        assert_eq!(shown, expected);
        assert!(tokens("KERNEL==\"open").is_empty());
        assert!(tokens("\u{e9}\"\\").is_empty());
    }
}
