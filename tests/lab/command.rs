//! Programs run to the end, and waiting for what the kernel does on its own.
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Catches hangs alone: long enough for a guest that shares its cores.
const HANG: Duration = Duration::from_secs(30);

/// Runs a program; its stdout. Panics with all it said when it fails.
#[track_caller]
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    // Not unwrap_or_else: the place to name is the caller's, not a closure's.
    match try_run(program, args) {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    }
}

/// As `run`, for guards: they may not panic while a test unwinds.
pub(super) fn try_run(program: &str, args: &[&str]) -> Result<String, String> {
    let command = || format!("`{program} {}`", args.join(" "));
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("failed to start {}: {error}", command()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} ended with {}: {said}", command(), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
pub(crate) fn ip(args: &[&str]) -> String {
    run("ip", args)
}

/// Many commands of ip at once, in one process.
#[track_caller]
pub(crate) fn ip_batch(lines: impl Iterator<Item = String>) {
    let name = format!("hostdiag-batch-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, lines.map(|line| line + "\n").collect::<String>()).unwrap();
    let result = try_run("ip", &["-batch", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[track_caller]
pub(crate) fn ethtool(args: &[&str]) -> String {
    run("ethtool", args)
}

/// The state that `ethtool -k` prints: "on", "off", "off [requested on]", ...
#[track_caller]
pub(crate) fn feature(device: &str, name: &str) -> String {
    let text = ethtool(&["-k", device]);
    let state = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    state.unwrap_or_else(|| panic!("ethtool -k {device} lists no {name}:\n{text}")).to_owned()
}

/// Waits for what the kernel does asynchronously, as feature propagation through
/// VLANs is on the newest kernels.
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(HANG, what, condition);
}

/// The same for what several steps of another program lead to.
#[track_caller]
pub(crate) fn wait_long_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(4 * HANG, what, condition);
}

/// The same within a limit that is promised.
#[track_caller]
pub(crate) fn wait_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {what}");
        sleep(Duration::from_millis(10));
    }
}
