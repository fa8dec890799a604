//! The two calls that change features: set wishes, compute anew.

use std::io;
use std::sync::Arc;

use anyhow::Result;
use hostdiag_model::FeatureName;
use hostdiag_model::plan::Identity;
use netlink_sys::protocols::NETLINK_GENERIC;
use nix::net::if_::if_nametoindex;

use super::features::{self, Bitset, FeaturesMessage};
use super::ioctl::Ethtool;
use super::socket::Socket;
use super::strings;
use crate::fail::{Code, Failure};

/// Changes features in the network namespace of the thread that opened it, and
/// must be used by that thread: names are looked up where it runs.
pub struct Changer {
    netlink: io::Result<Netlink>,
    ioctl: io::Result<Ethtool>,
    /// Names by bit number as the ioctl knows them; empty until they are needed.
    ioctl_names: Vec<FeatureName>,
}

/// The generic netlink family `ethtool`, which knows devices by their index.
struct Netlink {
    socket: Socket,
    family: u16,
    names: Vec<FeatureName>,
}

impl Changer {
    /// Opens generic netlink and a socket for `SIOCETHTOOL`.
    ///
    /// # Errors
    /// [`Code::NoFeatureApi`] where the host refuses both.
    pub fn open() -> Result<Self> {
        let (netlink, ioctl) = (Netlink::open(), Ethtool::open());
        if let (Err(netlink), Err(ioctl)) = (&netlink, &ioctl) {
            let message =
                format!("features can be changed neither by netlink ({netlink}) nor by ioctl ({ioctl})");
            let hint = "a seccomp filter or container policy may refuse both; run hostdiag outside of it";
            return Err(Failure::new(Code::NoFeatureApi, message).hint(hint).into());
        }
        Ok(Self { netlink, ioctl, ioctl_names: Vec::new() })
    }

    /// Sets wishes of one device: by netlink, to its index, whatever its name
    /// is by now; by ioctl where that is refused. A wish for a feature that the
    /// device cannot change is passed over, as the kernel does. Where every wish
    /// is as it was, netlink does nothing; the ioctl still has the features
    /// computed anew.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_ADMIN`; `InvalidInput` for a feature
    /// that this kernel does not know; `ENODEV` where the device has gone;
    /// `Other` where its name belongs to another device, which the ioctl would
    /// have changed.
    pub fn set_wanted(&mut self, device: &Identity, wishes: &[(FeatureName, bool)]) -> io::Result<()> {
        if wishes.is_empty() {
            return Ok(());
        }
        let netlink = match &mut self.netlink {
            Ok(netlink) => netlink.set(device, wishes),
            Err(error) => Err(again(error)),
        };
        match netlink {
            Err(error) if refused(&error) => {
                self.ioctl(device, wishes).map_err(|ioctl| both("netlink", &error, "ioctl", ioctl))
            }
            result => result,
        }
    }

    /// Makes the kernel compute the features of the device anew; writes no
    /// wish. By ioctl, by name; where that is refused by netlink, with a wish
    /// that the kernel drops.
    ///
    /// # Errors
    /// As [`Changer::set_wanted`].
    pub fn recompute(&mut self, device: &Identity) -> io::Result<()> {
        match (self.ioctl(device, &[]), &mut self.netlink) {
            (Err(error), Ok(netlink)) if refused(&error) => {
                netlink.nudge(device).map_err(|netlink| both("ioctl", &error, "netlink", netlink))
            }
            (result, _) => result,
        }
    }

    /// The ioctl knows devices by name, so a rename between check and call hits
    /// another device: seen by the second check, and said.
    fn ioctl(&mut self, device: &Identity, wishes: &[(FeatureName, bool)]) -> io::Result<()> {
        let ioctl = self.ioctl.as_ref().map_err(again)?;
        same(device)?;
        if self.ioctl_names.is_empty() {
            self.ioctl_names = ioctl.names(&device.name)?;
        }
        let wanted = mask(&self.ioctl_names, wishes)?;
        ioctl.set_features(&device.name, &wanted)?;
        same(device)
    }
}

impl Netlink {
    fn open() -> io::Result<Self> {
        let mut socket = Socket::open(NETLINK_GENERIC)?;
        let family = socket.family(features::FAMILY)?;
        let names = strings::features(&mut socket, family)?.into_iter().map(Arc::from).collect();
        Ok(Self { socket, family, names })
    }

    fn set(&mut self, device: &Identity, wishes: &[(FeatureName, bool)]) -> io::Result<()> {
        let wanted = mask(&self.names, wishes)?;
        features::set(&mut self.socket, self.family, device.ifindex, wanted)
    }

    /// Wishes for one feature that the device cannot change: the kernel sees a
    /// wish that differs, takes it out again (`wanted & hw_features`) and
    /// computes anew (net/ethtool/features.c, `ethnl_set_features`).
    fn nudge(&mut self, device: &Identity) -> io::Result<()> {
        let before = features::get(&mut self.socket, self.family, device.ifindex)?;
        let bit = fixed(&before, &self.names)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "it has no fixed feature"))?;
        let wanted = Bitset::masked(self.names.len(), &[(bit, true)]);
        features::set(&mut self.socket, self.family, device.ifindex, wanted)?;
        let after = features::get(&mut self.socket, self.family, device.ifindex)?;
        if after.wanted.is_some_and(|wanted| wanted.has(bit)) {
            let message = format!("the kernel kept the wish for {}, which was fixed", self.names[bit]);
            return Err(io::Error::other(message));
        }
        Ok(())
    }
}

/// The first named bit that is neither changeable nor wanted, and that a request
/// may name.
fn fixed(message: &FeaturesMessage, names: &[FeatureName]) -> Option<usize> {
    let sets = [message.hw.as_ref()?, message.nochange.as_ref()?, message.wanted.as_ref()?];
    (0..names.len()).find(|bit| !names[*bit].is_empty() && sets.iter().all(|set| !set.has(*bit)))
}

/// Wishes as bits of this kernel.
fn mask(names: &[FeatureName], wishes: &[(FeatureName, bool)]) -> io::Result<Bitset> {
    let bit = |(feature, on): &(FeatureName, bool)| {
        let bit = names.iter().position(|name| name == feature && !name.is_empty());
        bit.map(|bit| (bit, *on)).ok_or_else(|| {
            let message = format!("this kernel knows no feature \"{feature}\"");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    };
    let bits = wishes.iter().map(bit).collect::<io::Result<Vec<_>>>()?;
    Ok(Bitset::masked(names.len(), &bits))
}

/// Fails where the name of a device is not that of its index.
fn same(device: &Identity) -> io::Result<()> {
    let index = if_nametoindex(device.name.as_str())?;
    if index == device.ifindex {
        return Ok(());
    }
    let (name, known) = (&device.name, device.ifindex);
    Err(io::Error::other(format!("{name} is another device now, with the index {index} instead of {known}")))
}

/// Whether a way is closed, and the other may be open.
fn refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
        || error.raw_os_error().is_some_and(|code| NO_SUCH_CALL.contains(&code))
}

/// No such netlink family, protocol, address family, ioctl.
const NO_SUCH_CALL: [i32; 6] = {
    use nix::libc::{EAFNOSUPPORT, ENOENT, ENOSYS, ENOTTY, EOPNOTSUPP, EPROTONOSUPPORT};
    [EOPNOTSUPP, ENOENT, EPROTONOSUPPORT, EAFNOSUPPORT, ENOTTY, ENOSYS]
};

/// An error that is kept, for one that is returned.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Both ways failed. Where the second is closed as well, a missing privilege
/// decides: it is what can be helped.
fn both(first: &str, error: &io::Error, second: &str, other: io::Error) -> io::Error {
    if !refused(&other) || error.kind() == other.kind() {
        return other;
    }
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let kind = if denied { error.kind() } else { other.kind() };
    io::Error::new(kind, format!("{first}: {error}; {second}: {other}"))
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    fn names(names: &[&str]) -> Vec<FeatureName> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn wishes_become_the_bits_of_this_kernel() {
        let names = names(&["tx-scatter-gather", "", "rx-gro", "rx-lro"]);
        let wish = |name: &str, on| (FeatureName::from(name), on);
        let wanted = mask(&names, &[wish("rx-lro", true), wish("tx-scatter-gather", false)]).unwrap();
        assert_eq!(wanted, Bitset { size: 4, value: vec![0b1000], mask: Some(vec![0b1001]) });
        for unknown in ["rx-lroo", ""] {
            let error = mask(&names, &[wish("rx-gro", true), wish(unknown, true)]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&format!("\"{unknown}\"")), "{error}");
        }
    }

    #[test]
    fn a_nudge_takes_what_is_named_fixed_and_not_wanted() {
        let set = |word| Some(Bitset { size: 6, value: vec![word], mask: None });
        let message = FeaturesMessage {
            hw: set(0b001),
            nochange: set(0b010),
            wanted: set(0b100),
            ..Default::default()
        };
        let all = names(&["hw", "never", "wanted", "", "fixed", "fixed-too"]);
        assert_eq!(fixed(&message, &all), Some(4));
        assert_eq!(fixed(&message, &all[..4]), None);
    }

    #[test]
    fn a_missing_privilege_is_told_before_a_missing_call() {
        let error = io::Error::from_raw_os_error;
        let kind = |first, second| both("netlink", &error(first), "ioctl", error(second)).kind();
        assert_eq!(kind(libc::EPERM, libc::EOPNOTSUPP), io::ErrorKind::PermissionDenied);
        assert_eq!(kind(libc::EOPNOTSUPP, libc::EPERM), io::ErrorKind::PermissionDenied);
        assert_eq!(kind(libc::ENOENT, libc::EOPNOTSUPP), io::ErrorKind::Unsupported);
        let gone = both("netlink", &error(libc::EPERM), "ioctl", error(libc::ENODEV));
        assert_eq!(gone.raw_os_error(), Some(libc::ENODEV));
    }
}
