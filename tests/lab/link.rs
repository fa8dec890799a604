//! Links of every kind that stacks are built of, removed on drop.
use super::command::{ip, run, try_run};
use super::netns::report;

/// A link in the namespace it was made in.
pub(crate) struct Link {
    name: String,
    /// Where it was made: the guard may drop elsewhere.
    namespace: Option<String>,
}

impl Link {
    /// `ip link add NAME type KIND...` in the current namespace, then up.
    #[track_caller]
    pub(crate) fn add(name: &str, kind: &[&str]) -> Self {
        Self::create(None, name, None, kind)
    }

    /// As `add`, on top of another link.
    #[track_caller]
    pub(crate) fn on(lower: &str, name: &str, kind: &[&str]) -> Self {
        Self::create(None, name, Some(lower), kind)
    }

    /// As `add` and `on`, in a named namespace.
    #[track_caller]
    pub(crate) fn create(namespace: Option<&str>, name: &str, lower: Option<&str>, kind: &[&str]) -> Self {
        let link = Link { name: name.to_owned(), namespace: namespace.map(str::to_owned) };
        let mut args = vec!["link", "add"];
        if let Some(lower) = lower {
            args.extend(["link", lower]);
        }
        args.extend(["name", name, "type"]);
        args.extend(kind);
        // A link that could not be made must not be removed either.
        let link = std::mem::ManuallyDrop::new(link);
        link.ip(&args);
        let link = std::mem::ManuallyDrop::into_inner(link);
        link.up();
        link
    }

    #[track_caller]
    pub(crate) fn dummy(name: &str) -> Self {
        Self::add(name, &["dummy"])
    }

    /// Two cards wired to each other; removing one removes both.
    #[track_caller]
    pub(crate) fn veth(name: &str, peer: &str) -> Self {
        let link = Self::add(name, &["veth", "peer", "name", peer]);
        ip(&["link", "set", peer, "up"]);
        link
    }

    /// A bond of links, which need to be down to join, in a mode by its name.
    #[track_caller]
    pub(crate) fn bond(name: &str, mode: &str, members: &[&str]) -> Self {
        let link = Self::add(name, &["bond", "mode", mode, "miimon", "100"]);
        link.enslave_down(members);
        link
    }

    #[track_caller]
    pub(crate) fn team(name: &str, members: &[&str]) -> Self {
        let link = Self::add(name, &["team"]);
        link.enslave_down(members);
        link
    }

    #[track_caller]
    pub(crate) fn bridge(name: &str, members: &[&str]) -> Self {
        let link = Self::add(name, &["bridge"]);
        for member in members {
            link.enslave(member);
        }
        link
    }

    #[track_caller]
    pub(crate) fn vlan(name: &str, lower: &str, id: u16) -> Self {
        Self::on(lower, name, &["vlan", "id", &id.to_string()])
    }

    /// The outer tag of a Q-in-Q pair: 802.1ad. The inner one is `vlan` on it.
    #[track_caller]
    pub(crate) fn service_vlan(name: &str, lower: &str, id: u16) -> Self {
        Self::on(lower, name, &["vlan", "protocol", "802.1ad", "id", &id.to_string()])
    }

    #[track_caller]
    pub(crate) fn macvlan(name: &str, lower: &str) -> Self {
        Self::on(lower, name, &["macvlan", "mode", "bridge"])
    }

    #[track_caller]
    pub(crate) fn ipvlan(name: &str, lower: &str) -> Self {
        Self::on(lower, name, &["ipvlan", "mode", "l2"])
    }

    /// A vxlan with one remote end, over a lower link.
    #[track_caller]
    pub(crate) fn vxlan(name: &str, lower: &str, remote: &str) -> Self {
        Self::add(name, &["vxlan", "id", "42", "dev", lower, "remote", remote, "dstport", "4789"])
    }

    /// A GRE tunnel to one remote end, over a lower link.
    #[track_caller]
    pub(crate) fn gre(name: &str, lower: &str, remote: &str) -> Self {
        Self::add(name, &["gre", "dev", lower, "remote", remote])
    }

    #[track_caller]
    pub(crate) fn wireguard(name: &str) -> Self {
        Self::add(name, &["wireguard"])
    }

    /// The port of a guest or of a VPN that is not running: `mode` is tap or
    /// tun.
    #[track_caller]
    pub(crate) fn tuntap(name: &str, mode: &str) -> Self {
        // Makes /dev/net/tun, where no udev did.
        run("modprobe", &["tun"]);
        ip(&["tuntap", "add", "dev", name, "mode", mode]);
        let link = Link { name: name.to_owned(), namespace: None };
        link.up();
        link
    }

    /// Leaves the removal to the end of the namespace.
    pub(crate) fn keep(self) -> Kept {
        Kept(std::mem::ManuallyDrop::new(self))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    #[track_caller]
    pub(crate) fn up(&self) {
        self.ip(&["link", "set", &self.name, "up"]);
    }

    #[track_caller]
    pub(crate) fn down(&self) {
        self.ip(&["link", "set", &self.name, "down"]);
    }

    /// An address with its prefix length, usable at once (no duplicate check).
    #[track_caller]
    pub(crate) fn address(&self, address: &str) {
        let mut args = vec!["address", "add", address, "dev", &self.name];
        if address.contains(':') {
            args.push("nodad");
        }
        self.ip(&args);
    }

    #[track_caller]
    pub(crate) fn enslave(&self, member: &str) {
        // Two steps: in one, up comes first, and a bond takes no card that is up.
        self.ip(&["link", "set", member, "master", &self.name]);
        self.ip(&["link", "set", member, "up"]);
    }

    /// As `enslave`, of links that are down while they join.
    #[track_caller]
    pub(crate) fn enslave_down(&self, members: &[&str]) {
        for member in members {
            self.ip(&["link", "set", member, "down"]);
            self.enslave(member);
        }
    }

    /// Runs ip in the link's namespace.
    #[track_caller]
    pub(crate) fn ip(&self, args: &[&str]) -> String {
        match &self.namespace {
            None => ip(args),
            Some(namespace) => ip(&[&["-n", namespace][..], args].concat()),
        }
    }
}

/// A link that lives as long as its namespace.
pub(crate) struct Kept(std::mem::ManuallyDrop<Link>);

impl std::ops::Deref for Kept {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A link is gone already when the other end of its pair or the link
        // below it went first, or its namespace did.
        let mut args = vec!["link", "del", &self.name];
        if let Some(namespace) = &self.namespace {
            args.splice(0..0, ["-n", namespace]);
        }
        report(match try_run("ip", &args) {
            Err(error) if error.contains("Cannot find device") || error.contains("Cannot open network") => {
                Ok(())
            }
            other => other.map(|_| ()),
        });
    }
}

/// The guest's vmxnet3 card, whose LRO is on by default.
pub(crate) fn vmxnet3() -> String {
    let devices = std::fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap());
    let vmxnet3 = |path: std::path::PathBuf| {
        std::fs::read_link(path.join("device/driver")).is_ok_and(|driver| driver.ends_with("vmxnet3"))
    };
    let mut names = devices.filter(|entry| vmxnet3(entry.path())).map(|entry| entry.file_name());
    names.next().expect("the guest has a vmxnet3 card").into_string().unwrap()
}
