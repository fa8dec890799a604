//! systemd services whose commands call `ethtool -K`, or a script that does.
//! Whether the service is enabled is not looked at, except for templates: an
//! instance exists where a `.wants` or `.requires` folder names it.

use super::host::{Host, Place};
use super::ini::{self, Continuation};
use super::script::{self, Scope};

/// By falling priority.
const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The commands that run when a service starts; not those that end it.
const KEYS: [&str; 5] = ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload"];

pub(super) fn search(host: &mut Host<'_>) {
    let instances = instances(host);
    for (name, path) in host.layered(&FOLDERS, ".service") {
        let folders = FOLDERS.map(|folder| format!("{folder}/{name}.d"));
        let drop_ins = host.layered(&folders.each_ref().map(String::as_str), ".conf");
        let instances: Vec<Option<&str>> = match name.strip_suffix("@.service") {
            Some(template) => {
                let of = instances.iter().filter(|(name, _)| name == template);
                of.map(|(_, instance)| Some(instance.as_str())).collect()
            }
            None => vec![None],
        };
        if instances.is_empty() {
            continue;
        }
        for path in std::iter::once(path).chain(drop_ins.into_values()) {
            if let Some(text) = host.read(&path) {
                for instance in &instances {
                    unit(host, &path, (&text, *instance));
                }
            }
        }
    }
}

/// Instances of templates that something wants: `offload@eth0.service`.
fn instances(host: &mut Host<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for wanting in host.list(folder) {
            if !(wanting.ends_with(".wants") || wanting.ends_with(".requires")) {
                continue;
            }
            for name in host.list(&format!("{folder}/{wanting}")) {
                let instance = name.strip_suffix(".service").and_then(|name| name.split_once('@'));
                found.extend(instance.map(|(name, instance)| (name.to_owned(), instance.to_owned())));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn unit(host: &mut Host<'_>, path: &str, (text, instance): (&str, Option<&str>)) {
    let scope = Scope::default();
    for entry in ini::parse(text, Continuation::Backslash) {
        if entry.section != "Service" || !KEYS.contains(&entry.key.as_str()) {
            continue;
        }
        let mut line = entry.value.trim_start_matches(['@', '-', ':', '+', '!', '|']).to_owned();
        if let Some(instance) = instance {
            for specifier in ["%i", "%I", "%j"] {
                line = line.replace(specifier, instance);
            }
        }
        // systemd's way to write one of them.
        line = line.replace("$$", "$").replace("%%", "%");
        let place = Place { file: path, line: entry.line, text: &entry.text, manager: "systemd" };
        script::run(host, place, (&line, &scope));
    }
}
