//! `SIOCETHTOOL`: features where the kernel has no netlink for them (below
//! 5.6, and relatives of RHEL 8), the driver of a device, and the one call that
//! has features computed anew without a change of a wish.
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
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
/// `ETH_GSTRING_LEN`.
const STRING: usize = 32;
/// Room for this many features; the kernel has 64 and names how many it wrote.
const MAX_FEATURES: usize = 1024;

/// A socket to ask with, of the namespace it was opened in.
pub struct Ethtool(std::os::fd::OwnedFd);

/// Driver and place of a device, from `ETHTOOL_GDRVINFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Name of the driver.
    pub name: String,
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
        Ok(Driver { name: text(&request[4..36]), bus: text(&request[100..132]) })
    }

    /// The names of the feature bits; the kernel has one set for all devices
    /// but wants to be asked through one.
    pub fn names(&self, device: &str) -> io::Result<Vec<FeatureName>> {
        // struct ethtool_sset_info: cmd, reserved, sset_mask, one count.
        let mut info = vec![0; 24];
        info[..4].copy_from_slice(&GSSET_INFO.to_ne_bytes());
        info[8..16].copy_from_slice(&(1_u64 << ETH_SS_FEATURES).to_ne_bytes());
        sys::ethtool(&self.0, device, &mut info)?;
        let count = number(&info, 16) as usize;
        if count == 0 || count > MAX_FEATURES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{count} feature names")));
        }
        // struct ethtool_gstrings: cmd, string_set, len, the strings.
        let mut strings = vec![0; 12 + MAX_FEATURES * STRING];
        strings[..4].copy_from_slice(&GSTRINGS.to_ne_bytes());
        strings[4..8].copy_from_slice(&ETH_SS_FEATURES.to_ne_bytes());
        strings[8..12].copy_from_slice(&(count as u32).to_ne_bytes());
        sys::ethtool(&self.0, device, &mut strings)?;
        Ok(strings[12..].chunks(STRING).take(count).map(|name| Arc::from(text(name))).collect())
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
