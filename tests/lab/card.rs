//! The guest's own network cards, with real drivers.
use std::fs;
use std::path::{Path, PathBuf};

use hostdiag::offload::gather;
use hostdiag_model::Features;

use super::command::{ethtool, feature, ip, try_run, wait_until};
use super::link::Link;
use super::netns::report;

/// A card in the guest's first namespace. When the guard drops it belongs to no
/// bond or bridge any more, and its features and link are as they were.
pub(crate) struct Card {
    name: String,
    features: Features,
    up: bool,
}

impl Card {
    /// Every card of a driver, by name.
    #[track_caller]
    pub(crate) fn all(driver: &str) -> Vec<Card> {
        let devices = fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap());
        let has_driver = |device: &Path| {
            fs::read_link(device.join("device/driver")).is_ok_and(|path| path.ends_with(driver))
        };
        let mut names: Vec<String> = devices
            .filter(|device| has_driver(&device.path()))
            .map(|device| device.file_name().into_string().unwrap())
            .collect();
        assert!(!names.is_empty(), "the guest has no card with the driver {driver}");
        names.sort();
        names
            .into_iter()
            .map(|name| {
                let features = features(&name).unwrap();
                let up = ip(&["link", "show", &name, "up"]).contains(&name);
                Card { name, features, up }
            })
            .collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn give_back(&self) -> Result<(), String> {
        try_run("ip", &["link", "set", &self.name, "nomaster"])?;
        let now = features(&self.name)?;
        for (name, before) in self.features.iter().filter(|(_, state)| state.changeable()) {
            let Some(now) = now.get(name).filter(|now| *now != before) else { continue };
            // The same wish and another state: only a change makes the kernel
            // compute anew. ethtool fails where something else follows as well.
            for wish in [!before.wanted(), before.wanted()] {
                if wish == before.wanted() || now.wanted() == before.wanted() {
                    let _ = try_run("ethtool", &["-K", &self.name, name, if wish { "on" } else { "off" }]);
                }
            }
        }
        try_run("ip", &["link", "set", &self.name, if self.up { "up" } else { "down" }])?;
        let now = features(&self.name)?;
        let differs: Vec<_> =
            self.features.iter().zip(now.iter()).filter(|(before, now)| before != now).collect();
        if differs.is_empty() { Ok(()) } else { Err(format!("{} is changed: {differs:?}", self.name)) }
    }
}

/// In the namespace of this thread.
fn features(card: &str) -> Result<Features, String> {
    let devices = gather::namespace(None).map_err(|error| error.to_string())?.namespace.devices;
    let found = devices.into_iter().find(|device| device.name == card);
    found.and_then(|device| device.features).ok_or_else(|| format!("{card} has no features here"))
}

impl Drop for Card {
    fn drop(&mut self) {
        report(self.give_back());
    }
}

/// LRO asked for and off, although nothing holds it off any more: the kernel
/// computed it when a VLAN was there, and not again.
#[track_caller]
pub(crate) fn stick_lro(card: &str) {
    ip(&["link", "set", card, "up"]);
    let vlan = Link::vlan("lro10", card, 10);
    ethtool(&["-K", card, "lro", "off"]);
    // ethtool fails, because what it asked for did not come; the wish stays.
    let _ = try_run("ethtool", &["-K", card, "lro", "on"]);
    drop(vlan);
    wait_until("LRO is stuck", || feature(card, "large-receive-offload") == "off [requested on]");
}

/// A policy in a file that is gone when the guard drops.
pub(crate) struct PolicyFile(PathBuf);

impl PolicyFile {
    #[track_caller]
    pub(crate) fn new(text: &str) -> Self {
        let path = PathBuf::from(format!("/run/hostdiag-test-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        PolicyFile(path)
    }

    /// One that permits LRO on a card.
    #[track_caller]
    pub(crate) fn lro(card: &str) -> Self {
        Self::new(&format!("[[repair.device]]\ndevice = \"{card}\"\nfeatures = [\"rx-lro\"]\n"))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for PolicyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
