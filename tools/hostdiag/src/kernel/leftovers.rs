//! What a run that was killed left behind: tracefs kprobe events, whose group is
//! named `hostdiag_PID`. They are disabled and cost nothing, but stay until
//! someone removes them; every start and `doctor` do.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// A kprobe event of a hostdiag that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleEvent {
    /// `hostdiag_PID`.
    pub group: String,
    /// Its name in the group.
    pub name: String,
}

/// Events in the text of `kprobe_events` (`p:group/name place`) whose group is
/// of a hostdiag that `alive` says is gone.
pub fn stale_events(kprobe_events: &str, alive: impl Fn(u32) -> bool) -> Vec<StaleEvent> {
    let stale = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (group, name) = rest.split_whitespace().next()?.split_once('/')?;
        let pid = group.strip_prefix("hostdiag_")?.parse().ok()?;
        (!alive(pid)).then(|| StaleEvent { group: group.into(), name: name.into() })
    };
    kprobe_events.lines().filter_map(stale).collect()
}

/// Removes the stale events of this tracefs and says what was there, a line
/// each. The kernel refuses to remove an event in use, so one of a process that
/// we do not see, in another PID namespace, survives.
pub fn remove_stale_events(tracefs: &Path) -> Vec<String> {
    let file = tracefs.join("kprobe_events");
    let Ok(text) = fs::read_to_string(&file) else { return Vec::new() };
    stale_events(&text, is_alive).iter().map(|event| remove(&file, event)).collect()
}

fn remove(file: &Path, event: &StaleEvent) -> String {
    let StaleEvent { group, name } = event;
    let removed = OpenOptions::new()
        .append(true)
        .open(file)
        .and_then(|mut events| events.write_all(format!("-:{group}/{name}\n").as_bytes()));
    match removed {
        Ok(()) => format!("kprobe event {group}/{name}: removed"),
        Err(error) => format!("kprobe event {group}/{name}: not removed, {error}"),
    }
}

/// Files `NAME.PID` in hostdiag's run-time folder whose process is gone. Listed
/// only: what a file is for is known by who wrote it.
pub fn stale_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut stale: Vec<String> = entries
        .filter(|entry| {
            let pid = entry.path().extension().and_then(|end| end.to_str()?.parse().ok());
            pid.is_some_and(|pid| !is_alive(pid))
        })
        .map(|entry| format!("{}: its process is gone", entry.path().display()))
        .collect();
    stale.sort_unstable();
    stale
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_dead_hostdiags_are_stale() {
        let text = "p:hostdiag_12/f do_sendfile\n\
                    r4:hostdiag_34/g tcp_push_one\n\
                    p:kprobes/hostdiag_34 do_exit\n\
                    p:hostdiag_x/h do_exit\n\
                    p:mine_34/i do_exit\n\
                    nonsense\n";
        let stale = stale_events(text, |pid| pid == 12);
        assert_eq!(stale, [StaleEvent { group: "hostdiag_34".into(), name: "g".into() }]);
    }

    #[test]
    fn a_file_of_a_dead_process_is_listed() {
        let folder = std::env::temp_dir().join(format!("hostdiag-test-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let dead = folder.join("x.4194305"); // beyond PID_MAX_LIMIT
        fs::write(&dead, "").unwrap();
        fs::write(folder.join(format!("y.{}", std::process::id())), "").unwrap();
        fs::write(folder.join("journal"), "").unwrap();
        let stale = stale_files(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(stale, [format!("{}: its process is gone", dead.display())]);
    }
}
