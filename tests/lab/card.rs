//! The guest's vmxnet3 cards: real drivers, with LRO on by default.
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::command::{ethtool, feature, ip, wait_until};
use super::link::Link;
use super::netns::{NetNs, report};

/// A card that lives in a namespace until the guard drops.
pub(crate) struct Card {
    name: String,
    namespace: String,
}

/// A policy with the one line that permits LRO on a card.
pub(crate) struct CardPolicy(PathBuf);

impl Card {
    /// The first vmxnet3 card, moved there, up, with LRO on.
    #[track_caller]
    pub(crate) fn vmxnet3(namespace: &NetNs) -> Self {
        Self::all(namespace, 1).remove(0)
    }

    /// As many of them.
    #[track_caller]
    pub(crate) fn all(namespace: &NetNs, count: usize) -> Vec<Self> {
        let devices = fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap());
        let driver = |path: PathBuf| fs::read_link(path.join("device/driver"));
        let ours = devices.filter(|entry| driver(entry.path()).is_ok_and(|name| name.ends_with("vmxnet3")));
        let mut names: Vec<String> = ours.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        assert!(names.len() >= count, "the guest has {names:?}");
        names.truncate(count);
        let card = |name: String| {
            ip(&["link", "set", &name, "netns", namespace.name()]);
            let card = Card { name, namespace: namespace.name().to_owned() };
            card.ip(&["link", "set", &card.name, "up"]);
            card
        };
        names.into_iter().map(card).collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    #[track_caller]
    fn ip(&self, args: &[&str]) {
        ip(&[&["-n", &self.namespace], args].concat());
    }

    /// LRO asked for and off, although nothing holds it off any more: the
    /// kernel computed it when a VLAN was there and not again.
    #[track_caller]
    pub(crate) fn stick_lro(&self) {
        let vlan = Link::vlan("lro10", &self.name, 10);
        ethtool(&["-K", &self.name, "lro", "off"]);
        // ethtool fails, because what it asked for did not come; the wish stays.
        Command::new("ethtool").args(["-K", &self.name, "lro", "on"]).status().unwrap();
        drop(vlan);
        wait_until("LRO is stuck", || feature(&self.name, "large-receive-offload") == "off [requested on]");
    }

    /// A policy that permits LRO on this card.
    #[track_caller]
    pub(crate) fn policy(&self) -> CardPolicy {
        let path = PathBuf::from(format!("/run/hostdiag-test-{}.toml", self.name));
        fs::write(&path, format!("[[repair.device]]\ndevice = \"{}\"\nfeatures = [\"rx-lro\"]\n", self.name))
            .unwrap();
        CardPolicy(path)
    }
}

impl CardPolicy {
    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for CardPolicy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let back = ["-n", &self.namespace, "link", "set", &self.name, "nomaster", "netns", "1"];
        report(super::command::try_run("ip", &back).map(drop));
    }
}
