//! Faults of the network, also at the moment a feature changes.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hostdiag::net::ioctl::Ethtool;
use hostdiag_model::FeatureState;

use super::command::{run, try_run};
use super::netns::report;

/// A device that loses, delays, reorders, ... what it sends.
pub(crate) struct Netem {
    device: String,
    /// Where it is: the guard may drop elsewhere.
    namespace: Option<String>,
}

impl Netem {
    /// What tc-netem(8) is told, such as `["loss", "100%"]`, for a device of the
    /// current namespace.
    #[track_caller]
    pub(crate) fn on(device: &str, what: &[&str]) -> Self {
        Self::within(None, device, what)
    }

    /// As `on`, in a named namespace: what the host is sent is spoilt by the
    /// peer's device.
    #[track_caller]
    pub(crate) fn within(namespace: Option<&str>, device: &str, what: &[&str]) -> Self {
        let this = Netem { device: device.to_owned(), namespace: namespace.map(str::to_owned) };
        run("tc", &[&this.args("replace")[..], &["netem"], what].concat());
        this
    }

    fn args<'a>(&'a self, verb: &'a str) -> Vec<&'a str> {
        let namespace = self.namespace.iter().flat_map(|name| ["-n", name]);
        namespace.chain(["qdisc", verb, "dev", &self.device, "root"]).collect()
    }
}

impl Drop for Netem {
    fn drop(&mut self) {
        // It went with its device, or with its namespace.
        report(match try_run("tc", &self.args("del")) {
            Err(error) if error.contains("Cannot find device") || error.contains("Cannot open network") => {
                Ok(())
            }
            other => other.map(drop),
        });
    }
}

/// Something that is done by a thread of its own, once a feature of a device in
/// the current namespace is in a state.
pub(crate) struct OnChange<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<T>>>,
}

/// Begins to look. The feature by the kernel's name, the state as `ethtool -k`
/// words it; the device need not exist yet.
#[track_caller]
pub(crate) fn on_change<T: Send + 'static>(
    device: &str,
    feature: &str,
    state: &str,
    action: impl FnOnce() -> T + Send + 'static,
) -> OnChange<T> {
    let state = FeatureState::parse(state).unwrap_or_else(|| panic!("there is no state {state:?}"));
    let (device, feature) = (device.to_owned(), feature.to_owned());
    // One question about one device: a dump of all would take longer than a step.
    let ioctl = Ethtool::open().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let reached = move || {
        let names = ioctl.names(&device).ok()?;
        ioctl.features(&device, &names).ok()?.get(&feature)
    };
    let thread = thread::spawn(move || {
        while reached() != Some(state) {
            if stopped.load(Ordering::Relaxed) {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Some(action())
    });
    OnChange { stop, thread: Some(thread) }
}

impl<T> OnChange<T> {
    /// Looks no more. What the action returned, unless it did not come to it.
    #[track_caller]
    pub(crate) fn end(mut self) -> Option<T> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take()?;
        thread.join().expect("the action failed, see above")
    }
}

impl<T> Drop for OnChange<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let failed = |_| "the action at a change of a feature failed, see above".to_owned();
            report(thread.join().map(drop).map_err(failed));
        }
    }
}
