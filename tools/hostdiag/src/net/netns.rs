//! Network namespaces: which there are, and running something inside one.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use netlink_packet_core::Parseable;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::sched::{CloneFlags, setns};

use super::socket::Socket;
use crate::fail::{Code, Failure, did_you_mean};

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// A namespace that can be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    /// Its name with `ip netns`, or `pid PID (COMM)` for one without.
    pub name: String,
    /// A file that holds it.
    pub path: PathBuf,
}

/// The namespace of that name.
pub fn named(name: &str) -> Result<Netns> {
    let path = Path::new(NAMES).join(name);
    let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    if plain && path.exists() {
        return Ok(Netns { name: name.to_owned(), path });
    }
    let known = names();
    let hint = did_you_mean(name, known.iter().map(String::as_str)).unwrap_or_else(|| {
        "`ip netns list` lists the names, --all-netns audits those without a name too".into()
    });
    Err(Failure::new(Code::NoSuchNetns, format!("no network namespace named \"{name}\"")).hint(hint).into())
}

/// Every namespace but the current one: the named ones, then those that only
/// processes hold. Without root other users' processes do not show theirs.
pub fn others() -> Vec<Netns> {
    let mut seen: BTreeSet<(u64, u64)> = identity(Path::new("/proc/self/ns/net")).into_iter().collect();
    let mut all = Vec::new();
    for name in names() {
        let path = Path::new(NAMES).join(&name);
        if identity(&path).is_some_and(|id| seen.insert(id)) {
            all.push(Netns { name, path });
        }
    }
    let mut pids: Vec<u32> = entries("/proc").iter().filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    for pid in pids {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        if identity(&path).is_some_and(|id| seen.insert(id)) {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            all.push(Netns { name: format!("pid {pid} ({})", comm.trim_end()), path });
        }
    }
    all
}

fn names() -> Vec<String> {
    let mut names = entries(NAMES);
    names.sort_unstable();
    names
}

fn entries(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The names of the other namespaces by the number (`IFLA_LINK_NETNSID`) that
/// the socket's namespace has for them.
pub fn ids(socket: &mut Socket) -> HashMap<i32, String> {
    let mut ids = HashMap::new();
    let here = Netns {
        name: "of hostdiag".into(),
        path: PathBuf::from(format!("/proc/{}/ns/net", std::process::id())),
    };
    for other in std::iter::once(here).chain(others()) {
        let Ok(file) = File::open(&other.path) else { continue };
        let mut message = NsidMessage::default();
        message.attributes.push(NsidAttribute::Fd(file.as_raw_fd().cast_unsigned()));
        let mut id = None;
        let asked = socket.request(RouteNetlinkMessage::GetNsId(message), |(_, payload)| {
            let Ok(answer) = NsidMessage::parse(payload) else { return };
            id = answer.attributes.iter().find_map(|attribute| match attribute {
                NsidAttribute::Id(id) if *id >= 0 => Some(*id),
                _ => None,
            });
        });
        if let (Ok(()), Some(id)) = (asked, id) {
            ids.entry(id).or_insert(other.name);
        }
    }
    ids
}

/// Runs something inside a namespace, on a thread of its own, so that this one
/// never leaves its namespace and has nothing to restore.
pub fn within<T: Send>(netns: &Netns, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(netns)?;
            work()
        });
        thread.join().map_err(|_| anyhow!("the thread inside network namespace \"{}\" died", netns.name))?
    })
}

fn enter(netns: &Netns) -> Result<()> {
    let entered = File::open(&netns.path).and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?));
    match entered {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let message = format!("not allowed to enter network namespace \"{}\"", netns.name);
            Err(Failure::new(Code::NoPrivilege, message).hint("run it as root (CAP_SYS_ADMIN)").into())
        }
        result => result.with_context(|| format!("failed to enter network namespace \"{}\"", netns.name)),
    }
}
