//! systemd .link files (systemd.link(5)), which udev applies when a device
//! appears: only the first file that matches, in the order of file names.

use hostdiag_model::offload::Device;

use super::host::{Host, Place};
use super::ini::{self, Continuation, Entry};
use super::matching::{self, Verdict};
use crate::offload::glob;

/// By falling priority; /lib is the old name of /usr/lib.
const FOLDERS: [&str; 5] = [
    "/etc/systemd/network",
    "/run/systemd/network",
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
    "/lib/systemd/network",
];

const MANAGER: &str = "systemd.link";

/// Keys of `[Link]`, the features they set, and the systemd they need where not
/// every one in use has them. `TCPSegmentationOffload=` is IPv4 only.
pub(in crate::offload) const KEYS: [(&str, &str, Option<u16>); 23] = [
    ("ReceiveChecksumOffload", "rx", None),
    ("TransmitChecksumOffload", "tx", None),
    ("TCPSegmentationOffload", "tx-tcp-segmentation", None),
    ("TCP6SegmentationOffload", "tx-tcp6-segmentation", None),
    // Until v233, when it went with UFO.
    ("UDPSegmentationOffload", "tx-udp-fragmentation", None),
    ("GenericSegmentationOffload", "gso", None),
    ("GenericReceiveOffload", "gro", None),
    ("GenericReceiveOffloadHardware", "rx-gro-hw", None),
    ("LargeReceiveOffload", "lro", None),
    ("ReceiveVLANCTAGHardwareAcceleration", "rxvlan", None),
    ("TransmitVLANCTAGHardwareAcceleration", "txvlan", None),
    ("ReceiveVLANCTAGFilter", "rx-vlan-filter", None),
    ("TransmitVLANSTAGHardwareAcceleration", "tx-vlan-stag-hw-insert", None),
    ("NTupleFilter", "ntuple", None),
    ("PartialGenericSegmentationOffload", "tx-gso-partial", Some(258)),
    ("ReceiveFCS", "rx-fcs", Some(258)),
    ("ReceiveAll", "rx-all", Some(258)),
    ("ScatterGather", "tx-scatter-gather", Some(260)),
    ("ScatterGatherFragmentList", "tx-scatter-gather-fraglist", Some(260)),
    ("TCPECNSegmentationOffload", "tx-tcp-ecn-segmentation", Some(260)),
    ("TCPMangleIdSegmentationOffload", "tx-tcp-mangleid-segmentation", Some(260)),
    ("GenericReceiveOffloadList", "rx-gro-list", Some(260)),
    ("GenericReceiveOffloadUDPForwarding", "rx-udp-gro-forwarding", Some(260)),
];

/// One .link file with its drop-ins.
struct File {
    /// Path and entries of the file, then of its drop-ins.
    parts: Vec<(String, Vec<Entry>)>,
}

pub(super) fn search(host: &mut Host<'_>) {
    let files: Vec<File> =
        host.layered(&FOLDERS, ".link").into_iter().map(|(name, path)| read(host, &name, path)).collect();
    for device in host.devices {
        for file in &files {
            match file.verdict(device) {
                Verdict::No => {}
                Verdict::Unknown => file.undecided(host),
                Verdict::Yes => {
                    file.record(host, device);
                    break;
                }
            }
        }
    }
}

fn read(host: &mut Host<'_>, name: &str, path: String) -> File {
    let folders = FOLDERS.map(|folder| format!("{folder}/{name}.d"));
    let drop_ins = host.layered(&folders.each_ref().map(String::as_str), ".conf");
    let mut parts = Vec::new();
    for path in std::iter::once(path).chain(drop_ins.into_values()) {
        if let Some(text) = host.read(&path) {
            parts.push((path, ini::parse(&text, Continuation::Backslash)));
        }
    }
    File { parts }
}

impl File {
    /// Whether `[Match]` means the device: all keys must hold, any of the
    /// words of a key is enough, an empty value forgets the words so far.
    fn verdict(&self, device: &Device) -> Verdict {
        let mut conditions: Vec<(&str, Vec<&str>)> = Vec::new();
        let entries = self.parts.iter().flat_map(|(_, entries)| entries);
        for entry in entries.filter(|entry| entry.section == "Match") {
            let words = ini::words(&entry.value);
            match conditions.iter_mut().find(|(key, _)| *key == entry.key) {
                Some((_, known)) if entry.value.is_empty() => known.clear(),
                Some((_, known)) => known.extend(words),
                None => conditions.push((&entry.key, words.collect())),
            }
        }
        conditions.retain(|(_, words)| !words.is_empty());
        // Without a condition udev ignores the file.
        conditions.iter().map(|(key, words)| condition(device, key, words)).min().unwrap_or(Verdict::No)
    }

    /// The lines that set features: file, entry, feature, state.
    fn settings(&self) -> impl Iterator<Item = (&str, &Entry, &'static str, bool)> {
        let entries =
            self.parts.iter().flat_map(|(path, entries)| entries.iter().map(move |entry| (path, entry)));
        entries.filter(|(_, entry)| entry.section == "Link").filter_map(|(path, entry)| {
            let (_, feature, _) = KEYS.iter().find(|(key, ..)| *key == entry.key)?;
            Some((path.as_str(), entry, *feature, ini::boolean(&entry.value)?))
        })
    }

    fn record(&self, host: &mut Host<'_>, device: &Device) {
        for (path, entry, feature, on) in self.settings() {
            host.ask(place(path, entry), &device.name, (feature, on));
        }
    }

    fn undecided(&self, host: &mut Host<'_>) {
        for (path, entry, ..) in self.settings() {
            host.undecided(place(path, entry), "which devices its [Match] means cannot be told");
        }
    }
}

fn place<'a>(file: &'a str, entry: &'a Entry) -> Place<'a> {
    Place { file, line: entry.line, text: &entry.text, manager: MANAGER }
}

fn condition(device: &Device, key: &str, words: &[&str]) -> Verdict {
    match key {
        "OriginalName" => listed(words, |pattern| matching::was_named(device, pattern)),
        "MACAddress" => matching::has_mac(device, words.iter().copied()),
        // A port's own address may have been replaced by that of its bond.
        "PermanentMACAddress" => match matching::has_mac(device, words.iter().copied()) {
            Verdict::Yes => Verdict::Yes,
            _ => Verdict::Unknown,
        },
        "Driver" => match matching::driver(device) {
            Some(driver) => listed(words, |pattern| glob::matches(pattern, driver).into()),
            None => Verdict::Unknown,
        },
        "Type" => match matching::device_type(device) {
            Some(kind) => listed(words, |pattern| glob::matches(pattern, kind).into()),
            None => Verdict::Unknown,
        },
        "Kind" => match &device.link {
            Some(link) => {
                let kind = link.kind.as_deref();
                listed(words, |pattern| kind.is_some_and(|kind| glob::matches(pattern, kind)).into())
            }
            None => Verdict::Unknown,
        },
        "Path" | "Property" | "Host" | "Virtualization" | "KernelCommandLine" | "KernelVersion"
        | "Credential" | "Architecture" | "Firmware" | "Version" => Verdict::Unknown,
        // udev warns of a key that it does not know, and goes on without it.
        _ => Verdict::Yes,
    }
}

/// A list of patterns; one `!` in front of the first negates the whole list.
fn listed(words: &[&str], matches: impl Fn(&str) -> Verdict) -> Verdict {
    let negated = words.first().is_some_and(|word| word.starts_with('!'));
    let patterns = words.iter().map(|word| word.strip_prefix('!').unwrap_or(word));
    let found = patterns.filter(|word| !word.is_empty()).map(matches).max().unwrap_or(Verdict::No);
    if negated { found.negate() } else { found }
}
