//! The host under search: its files, its devices, and what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hostdiag_model::offload::{Device, Intent, Problem};

use super::Search;
use crate::files::{Files, clean};
use crate::offload::names;

/// More lines are not reported; the rest is a problem.
const MAX_INTENTS: usize = 50_000;

/// Where a line stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) text: &'a str,
    pub(super) manager: &'static str,
}

pub(super) struct Host<'a> {
    files: Files<'a>,
    pub(super) devices: &'a [Device],
    found: Search,
    /// Scripts already read, with the arguments they were read for.
    followed: BTreeSet<String>,
}

impl<'a> Host<'a> {
    pub(super) fn new(root: &'a Path, devices: &'a [Device]) -> Self {
        Self { files: Files::new(root), devices, found: Search::default(), followed: BTreeSet::new() }
    }

    pub(super) fn finish(mut self) -> Search {
        let key = |intent: &Intent| (intent.device.clone(), intent.file.clone(), intent.line);
        self.found.intents.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.cmp(b)));
        self.found.intents.dedup();
        let order = |a: &Problem, b: &Problem| (&a.subject, &a.message).cmp(&(&b.subject, &b.message));
        self.found.problems = self.files.problems;
        self.found.problems.sort_by(order);
        self.found.problems.dedup();
        self.found
    }

    pub(super) fn read(&mut self, path: &str) -> Option<String> {
        self.files.read(path)
    }

    pub(super) fn read_script(&mut self, path: &str) -> Option<String> {
        self.files.read_script(path)
    }

    pub(super) fn list(&mut self, folder: &str) -> Vec<String> {
        self.files.list(folder)
    }

    pub(super) fn layered(&mut self, folders: &[&str], ending: &str) -> BTreeMap<String, String> {
        self.files.layered(folders, ending)
    }

    pub(super) fn expand(&mut self, pattern: &str) -> Vec<String> {
        self.files.expand(pattern)
    }

    pub(super) fn problem(&mut self, subject: &str, message: &str) {
        self.files.problem(subject, message);
    }

    /// A line sets offload features, but not of a device that can be told.
    pub(super) fn undecided(&mut self, place: Place<'_>, why: &str) {
        let message = format!("asks for offload features, but {why}: {}", clean(place.text));
        self.problem(&format!("{}:{}", place.file, place.line), &message);
    }

    /// Records that a line asks for `feature`, a kernel name or an alias of
    /// ethtool, on a device of this host.
    pub(super) fn ask(&mut self, place: Place<'_>, device: &str, (feature, on): (&str, bool)) {
        if self.found.intents.len() >= MAX_INTENTS {
            self.problem("configuration", "over 50000 lines ask for offload features; the rest is left out");
            return;
        }
        let known = names::expand(feature);
        let features = match known.as_slice() {
            [] => vec![feature.to_owned()],
            known => known.iter().map(|name| (*name).to_owned()).collect(),
        };
        self.found.intents.push(Intent {
            device: device.to_owned(),
            features,
            on,
            file: place.file.to_owned(),
            line: place.line,
            text: clean(place.text),
            manager: place.manager.to_owned(),
        });
    }

    /// Names of the devices that a name or shell pattern means, alternative
    /// names included.
    pub(super) fn named(&self, pattern: &str) -> Vec<String> {
        let matching = |device: &&Device| super::matching::is_named(device, pattern);
        self.devices.iter().filter(matching).map(|device| device.name.clone()).collect()
    }

    /// Whether a script was not yet read for these arguments; notes it.
    pub(super) fn first_time(&mut self, path: &str, arguments: &[String]) -> bool {
        self.followed.insert(format!("{path}\n{}", arguments.join("\n")))
    }
}
