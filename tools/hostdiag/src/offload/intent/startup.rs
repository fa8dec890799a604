//! What runs at boot or by the clock without a manager of its own: rc.local,
//! init scripts, cron; and the scripts those name by their full path.

use super::commands;
use super::host::Host;
use super::script::{self, Scope, Source};

pub(super) fn search(host: &mut Host<'_>) {
    for path in ["/etc/rc.local", "/etc/rc.d/rc.local"] {
        lines(host, path, "rc.local");
    }
    for path in files(host, "/etc/cron.d") {
        lines(host, &path, "cron");
    }
    lines(host, "/etc/crontab", "cron");
    for path in files(host, "/var/spool/cron/crontabs").into_iter().chain(files(host, "/var/spool/cron")) {
        lines(host, &path, "cron");
    }
    for path in files(host, "/etc/init.d") {
        if let Some(text) = host.read(&path) {
            script::scan(host, Source { file: &path, text: &text, manager: "init.d" }, &Scope::default());
        }
    }
}

fn files(host: &mut Host<'_>, folder: &str) -> Vec<String> {
    host.list(folder).into_iter().map(|name| format!("{folder}/{name}")).collect()
}

/// A text of commands: its own `ethtool -K`, and the scripts it runs.
fn lines(host: &mut Host<'_>, path: &str, manager: &'static str) {
    let Some(text) = host.read(path) else { return };
    let scope = Scope::default();
    script::scan(host, Source { file: path, text: &text, manager }, &scope);
    for (_, line) in commands::logical_lines(&text) {
        script::follow(host, manager, (&line, &scope));
    }
}
