//! `SIOCETHTOOL`: features where the kernel has no netlink for them (below
//! 5.6, and relatives of RHEL 8), the driver of a device and what it counts, and the
//! one call that has features computed anew without a change of a wish.
//!
//! Layouts from include/uapi/linux/ethtool.h.

use std::io;
use std::sync::Arc;

use hostdiag_model::{FeatureName, FeatureState, Features};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::features::Bitset;
use crate::sys;

const GDRVINFO: u32 = 0x3;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const SFEATURES: u32 = 0x3b;
const ETH_SS_STATS: u32 = 1;
const ETH_SS_FEATURES: u32 = 4;
/// `ETH_GSTRING_LEN`.
const STRING: usize = 32;
/// Room for this many features; the kernel has 64 and names how many it wrote.
const MAX_FEATURES: usize = 1024;
/// Room for this many counters, several times what any driver has: the kernel writes all
/// that there are, and a change of channels between two calls may make them more.
const MAX_STATISTICS: usize = 1 << 16;

/// A socket to ask with, of the namespace it was opened in.
pub struct Ethtool(std::os::fd::OwnedFd);

/// Driver and place of a device, from `ETHTOOL_GDRVINFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Name of the driver.
    pub name: String,
    /// Version of the driver, where it is not that of the kernel.
    pub version: String,
    /// Version of the firmware; empty or `N/A` where it has none.
    pub firmware: String,
    /// Address on its bus; empty where it has none.
    pub bus: String,
}

impl Ethtool {
    /// Opens the socket.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        // Any socket will do; a host without IPv4 has one of these.
        let families = [AddressFamily::Inet, AddressFamily::Inet6, AddressFamily::Unix];
        let mut last = io::Error::from(io::ErrorKind::Unsupported);
        for family in families {
            match socket(family, SockType::Datagram, flags, None) {
                Ok(fd) => return Ok(Self(fd)),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// The driver of a device.
    pub fn driver(&self, device: &str) -> io::Result<Driver> {
        // struct ethtool_drvinfo: cmd, then strings of 32 bytes: driver,
        // version, fw_version, bus_info, …
        let mut request = vec![0; 196];
        request[..4].copy_from_slice(&GDRVINFO.to_ne_bytes());
        sys::ethtool(&self.0, device, &mut request)?;
        let [name, version, firmware, bus] = [4, 36, 68, 100].map(|at| text(&request[at..at + 32]));
        Ok(Driver { name, version, firmware, bus })
    }

    /// The names of the feature bits; the kernel has one set for all devices
    /// but wants to be asked through one.
    pub fn names(&self, device: &str) -> io::Result<Vec<FeatureName>> {
        let names = self.strings(device, ETH_SS_FEATURES, MAX_FEATURES)?;
        if names.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no feature names"));
        }
        Ok(names.into_iter().map(Arc::from).collect())
    }

    /// What the driver counts, by its own names; none where it counts nothing.
    pub fn statistics(&self, device: &str) -> io::Result<Vec<(String, u64)>> {
        let names = self.strings(device, ETH_SS_STATS, MAX_STATISTICS)?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // struct ethtool_stats: cmd, n_stats, the counters.
        let mut request = vec![0; 8 + MAX_STATISTICS * 8];
        request[..4].copy_from_slice(&GSTATS.to_ne_bytes());
        request[4..8].copy_from_slice(&(names.len() as u32).to_ne_bytes());
        sys::ethtool(&self.0, device, &mut request)?;
        if number(&request, 4) as usize != names.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its statistics changed meanwhile"));
        }
        let (counters, _) = request[8..].as_chunks::<8>();
        Ok(names.into_iter().zip(counters.iter().map(|bytes| u64::from_ne_bytes(*bytes))).collect())
    }

    /// A set of strings of at most `max`.
    fn strings(&self, device: &str, set: u32, max: usize) -> io::Result<Vec<String>> {
        // struct ethtool_sset_info: cmd, reserved, sset_mask, one count.
        let mut info = vec![0; 24];
        info[..4].copy_from_slice(&GSSET_INFO.to_ne_bytes());
        info[8..16].copy_from_slice(&(1_u64 << set).to_ne_bytes());
        sys::ethtool(&self.0, device, &mut info)?;
        // A set that the device does not have is taken out of the mask.
        let known = info[8..16].iter().any(|byte| *byte != 0);
        let count = if known { number(&info, 16) as usize } else { 0 };
        if count > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{count} strings")));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        // struct ethtool_gstrings: cmd, string_set, len, the strings.
        let mut strings = vec![0; 12 + max * STRING];
        strings[..4].copy_from_slice(&GSTRINGS.to_ne_bytes());
        strings[4..8].copy_from_slice(&set.to_ne_bytes());
        strings[8..12].copy_from_slice(&(count as u32).to_ne_bytes());
        sys::ethtool(&self.0, device, &mut strings)?;
        Ok(strings[12..].chunks(STRING).take(count).map(text).collect())
    }

    /// The features of a device, by those names.
    pub fn features(&self, device: &str, names: &[FeatureName]) -> io::Result<Features> {
        // struct ethtool_gfeatures: cmd, size, blocks of available, requested,
        // active, never_changed.
        let blocks = names.len().div_ceil(32);
        let mut request = vec![0; 8 + blocks * 16];
        request[..4].copy_from_slice(&GFEATURES.to_ne_bytes());
        request[4..8].copy_from_slice(&(blocks as u32).to_ne_bytes());
        sys::ethtool(&self.0, device, &mut request)?;
        let bit = |index: usize, field: usize| {
            number(&request, 8 + index / 32 * 16 + field * 4) >> (index % 32) & 1 == 1
        };
        let named = names.iter().enumerate().filter(|(_, name)| !name.is_empty());
        Ok(named
            .map(|(index, name)| {
                let changeable = bit(index, 0) && !bit(index, 3);
                (name.clone(), FeatureState::from_bits(changeable, bit(index, 1), bit(index, 2)))
            })
            .collect())
    }

    /// Sets the wishes of a device that the mask speaks of, and has its
    /// features computed anew even where the mask is empty (net/ethtool/ioctl.c,
    /// `ethtool_set_features`). The set must be as long as the kernel's names.
    pub fn set_features(&self, device: &str, wanted: &Bitset) -> io::Result<()> {
        sys::ethtool(&self.0, device, &mut sfeatures(wanted))
    }
}

/// A `struct ethtool_sfeatures`: cmd, size, blocks of valid, requested.
fn sfeatures(wanted: &Bitset) -> Vec<u8> {
    let blocks = wanted.value.len();
    let mask = wanted.mask.clone().unwrap_or_else(|| vec![u32::MAX; blocks]);
    let words = mask.iter().zip(&wanted.value).flat_map(|(valid, requested)| [*valid, *requested]);
    let head = [SFEATURES, u32::try_from(blocks).unwrap_or(0)];
    head.into_iter().chain(words).flat_map(u32::to_ne_bytes).collect()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |word| u32::from_ne_bytes(*word))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_set_has_pairs_of_valid_and_requested() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let wanted = Bitset::masked(59, &[(0, true), (33, false), (58, true)]);
        assert_eq!(sfeatures(&wanted), words(&[0x3b, 2, 1, 1, 1 << 1 | 1 << 26, 1 << 26]));
        assert_eq!(sfeatures(&Bitset::masked(64, &[])), words(&[0x3b, 2, 0, 0, 0, 0]));
    }
}
