//! Network namespaces that end with their guard.
use std::fs::File;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use super::command::{ip, try_run};

/// A named network namespace (`ip netns`), its loopback device up.
pub(crate) struct NetNs {
    name: String,
}

/// Names differ within and between test processes that share a machine.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl NetNs {
    #[track_caller]
    pub(crate) fn new(purpose: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{purpose}-{}-{number}", std::process::id());
        ip(&["netns", "add", &name]);
        let this = NetNs { name };
        ip(&["-n", &this.name, "link", "set", "lo", "up"]);
        this
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Moves this thread, and what it starts from now on, into the namespace,
    /// with a /sys that shows the namespace's devices, until the guard drops.
    #[track_caller]
    pub(crate) fn enter(&self) -> Entered {
        let mounts = File::open("/proc/thread-self/ns/mnt").unwrap();
        let network = File::open("/proc/thread-self/ns/net").unwrap();
        let target = File::open(self.path()).unwrap();
        unshare(CloneFlags::CLONE_NEWNS).expect("failed to unshare the mounts (root is needed)");
        let entered = Entered { mounts, network, thread: PhantomData };
        mount_sys(target);
        mount_state();
        entered
    }
}

/// What hostdiag keeps of its repairs is of one test as well.
fn mount_state() {
    for folder in ["/run/hostdiag", "/var/lib/hostdiag"] {
        std::fs::create_dir_all(folder).unwrap();
        mount(None::<&str>, folder, Some("tmpfs"), MsFlags::empty(), Some("mode=700"))
            .expect("failed to mount a tmpfs");
    }
}

/// The /sys of the namespace, with what was mounted below the old one: tests
/// trace in namespaces as well.
fn mount_sys(target: File) {
    let nothing = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).expect("failed to make the mounts private");
    let below = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    // ID PARENT MAJOR:MINOR ROOT MOUNT_POINT OPTIONS... - TYPE SOURCE ...
    let below: Vec<(String, String)> = below
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let point = mount.split(' ').nth(4)?;
            let kind = filesystem.split(' ').next()?;
            point.starts_with("/sys/").then(|| (point.to_owned(), kind.to_owned()))
        })
        .collect();
    setns(target, CloneFlags::CLONE_NEWNET).expect("failed to enter the network namespace");
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing).expect("failed to mount /sys");
    for (point, kind) in below {
        // Some file systems exist once (tracefs below debugfs mounts itself).
        let _ = mount(Some(kind.as_str()), point.as_str(), Some(kind.as_str()), MsFlags::empty(), nothing);
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        report(try_run("ip", &["netns", "del", &self.name]));
    }
}

/// While it lives, the thread is in the namespace. It stays on its thread.
pub(crate) struct Entered {
    mounts: File,
    network: File,
    thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let network = setns(&self.network, CloneFlags::CLONE_NEWNET);
        // A thread started meanwhile shares this one's root and working folder
        // until a while after it was joined, and the kernel lets nobody who
        // shares them change mount namespaces.
        let mounts =
            unshare(CloneFlags::CLONE_FS).and_then(|()| setns(&self.mounts, CloneFlags::CLONE_NEWNS));
        report(network.and(mounts).map_err(|error| format!("failed to leave a namespace: {error}")));
    }
}

/// A guard that cannot undo its work fails its test, unless that is failing
/// already: a second panic would abort the whole run and hide the first.
pub(super) fn report<T>(result: Result<T, String>) {
    if let Err(error) = result {
        assert!(std::thread::panicking(), "{error}");
        eprintln!("while a test failed: {error}");
    }
}
