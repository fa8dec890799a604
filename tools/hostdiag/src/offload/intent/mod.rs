//! Searches the host's configuration for lines that ask for offload features,
//! so that "off on purpose" can be told from "lost", with file and line.
//!
//! One file per manager below; each reads its configuration as the manager
//! does, as far as text alone allows, and says which devices a line is for.
//! Nothing is executed and nothing outside the given root is read. What a
//! manager would decide at run time (a script's `if`, a service that is not
//! enabled, a profile that is not active) is not known here: a line is evidence
//! that someone asked, not proof that it took effect.
//!
//! Where lines contradict each other the later one usually wins, but which runs
//! later depends on the managers: all are kept.

mod commands;
mod dispatcher;
mod flow;
mod host;
mod ifcfg;
mod ifupdown;
mod ini;
pub(super) mod link;
mod matching;
mod netplan;
mod network_manager;
mod script;
mod startup;
mod tuned;
mod udev;
mod units;
mod yaml;

use std::path::Path;

use hostdiag_model::offload::{Device, Intent, Problem};

use host::Host;

/// What [`search`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Lines that ask for features of the given devices, by device, file, line.
    pub intents: Vec<Intent>,
    /// Files that could not be read, and lines that set offload features of a
    /// device that could not be told; by subject.
    pub problems: Vec<Problem>,
}

/// Searches the configuration below `root` ("/" on a live host) for lines that
/// ask for features of `devices`.
///
/// Never fails as a whole: what cannot be read becomes a problem, folders that
/// do not exist are fine. File names in the result are absolute, without
/// `root`. Symbolic links are followed as if `root` were the root directory.
pub fn search(root: &Path, devices: &[Device]) -> Search {
    let mut host = Host::new(root, devices);
    for manager in [
        link::search,
        netplan::search,
        network_manager::search,
        ifcfg::search,
        dispatcher::search,
        ifupdown::search,
        tuned::search,
        udev::search,
        units::search,
        startup::search,
    ] {
        manager(&mut host);
    }
    host.finish()
}

#[cfg(test)]
mod tests;
