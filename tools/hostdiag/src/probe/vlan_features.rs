//! What network devices offer to the VLANs on them: `net_device.vlan_features`,
//! which no user API has.
//!
//! Reads, never attaches to a function: the program is a BPF iterator, so it
//! works on kernels without kprobes too (Linux 5.8 and later, with BTF).

use std::io::{ErrorKind, Read};
use std::mem::MaybeUninit;

use anyhow::{Context, Result, bail, ensure};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Iter, Link};

use self::skel::{VlanFeaturesSkel, VlanFeaturesSkelBuilder};
use super::skeleton::skeleton;
use super::{quietly, refused};

skeleton!("vlan_features");

/// Feature bits of one device, by the bit numbers of the running kernel. They
/// differ between kernels: name them by its string set (`ETH_SS_FEATURES`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanFeatures {
    /// Interface index, unique within the network namespace.
    pub ifindex: u32,
    /// `net_device.features`: active now.
    pub features: u64,
    /// `net_device.vlan_features`: what a VLAN on it may have.
    pub vlan_features: u64,
    /// `net_device.hw_enc_features`: what holds for encapsulated packets.
    pub hw_enc_features: u64,
}

/// Bytes of one `struct vlan_features_record`, bpf/hostdiag.h.
const RECORD: usize = 32;

/// Every device of the calling thread's network namespace, by ifindex.
///
/// # Errors
/// A [`crate::fail::Failure`]: `no-privilege` without CAP_BPF and CAP_PERFMON,
/// `no-bpf` where the kernel has no BTF or refuses the program.
pub fn read() -> Result<Vec<VlanFeatures>> {
    let what = "the reader of vlan_features";
    let mut storage = MaybeUninit::uninit();
    let (opened, warnings) = quietly(|| {
        let skel = VlanFeaturesSkelBuilder::default().open(&mut storage)?.load()?;
        let link = skel.progs.vlan_features.attach()?;
        libbpf_rs::Result::Ok((skel, link))
    });
    let (mut skel, link) = opened.map_err(|error: libbpf_rs::Error| refused(what, &error, &warnings))?;
    let bytes = drain(&mut skel, &link)?;
    let mut devices = decode(&bytes)?;
    devices.sort_unstable_by_key(|device| device.ifindex);
    Ok(devices)
}

/// Runs the program. One run writes at most a thousand devices; where there are
/// more, they are split by ifindex, which holds still while devices come and go.
fn drain(skel: &mut VlanFeaturesSkel<'_>, link: &Link) -> Result<Vec<u8>> {
    for shards in [1, 16, 256] {
        let mut bytes = Vec::new();
        let mut full = false;
        for shard in 0..shards {
            let data = skel.maps.bss_data.as_deref_mut().context("the program has no variables")?;
            (data.shards, data.shard, data.shard_full) = (shards, shard, 0);
            run(link, &mut bytes).context("failed to read vlan_features")?;
            let data = skel.maps.bss_data.as_deref().context("the program has no variables")?;
            ensure!(
                data.read_failed == 0,
                "failed to read vlan_features: the kernel's device list is unreadable"
            );
            ensure!(data.list_too_long == 0, "failed to read vlan_features: more than 4096 devices");
            full |= data.shard_full != 0;
        }
        if !full {
            return Ok(bytes);
        }
    }
    bail!("failed to read vlan_features: too many devices with ifindexes 256 apart")
}

/// One walk, its output appended.
fn run(link: &Link, bytes: &mut Vec<u8>) -> Result<()> {
    let mut iter = Iter::new(link)?;
    loop {
        match iter.read_to_end(bytes) {
            Ok(_) => return Ok(()),
            // After a million tasks without output the kernel wants to be asked again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The records in what the program wrote.
///
/// # Errors
/// Bytes that are no whole number of records, or padding that is not zero.
pub fn decode(bytes: &[u8]) -> Result<Vec<VlanFeatures>> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    ensure!(rest.is_empty(), "{} bytes are no whole number of {RECORD}-byte records", bytes.len());
    records.iter().map(decode_record).collect()
}

fn decode_record(record: &[u8; RECORD]) -> Result<VlanFeatures> {
    let (words, _) = record.as_chunks::<8>();
    let [head, features, vlan_features, hw_enc_features] = [0, 1, 2, 3].map(|i| u64::from_ne_bytes(words[i]));
    let ifindex = u32::try_from(head).context("the padding of a record is not zero")?;
    Ok(VlanFeatures { ifindex, features, vlan_features, hw_enc_features })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(ifindex: u32, bits: [u64; 3]) -> Vec<u8> {
        let mut bytes = ifindex.to_ne_bytes().to_vec();
        bytes.extend(0u32.to_ne_bytes());
        bits.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes
    }

    #[test]
    fn records_are_decoded_in_order() {
        let mut bytes = record(7, [1 << 63, 2, 3]);
        bytes.extend(record(1, [4, 5, 6]));
        let devices = decode(&bytes).unwrap();
        let first = VlanFeatures { ifindex: 7, features: 1 << 63, vlan_features: 2, hw_enc_features: 3 };
        assert_eq!(devices[0], first);
        assert_eq!(devices[1].ifindex, 1);
        assert_eq!(decode(&[]).unwrap(), []);
    }

    #[test]
    fn a_torn_record_is_refused() {
        let bytes = record(7, [1, 2, 3]);
        assert!(decode(&bytes[..31]).is_err());
    }

    #[test]
    fn padding_must_be_zero() {
        let mut bytes = record(7, [1, 2, 3]);
        bytes[4] = 1;
        assert!(decode(&bytes).is_err());
    }
}
