//! Hosts that refuse part of what the audit asks of them.
use std::collections::BTreeMap;

use hostdiag::fail::{Code, Failure};
use hostdiag::offload::gather;
use hostdiag_model::offload::Source;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use crate::lab::{Link, NetNs, audit, ip_batch};

/// One condition on an argument of a system call.
fn when(argument: u8, value: u64) -> SeccompRule {
    let condition =
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).unwrap();
    SeccompRule::new(vec![condition]).unwrap()
}

/// Runs something on a thread for which these system calls fail with EPERM, as
/// the filter of a container makes them.
pub(super) fn refusing<T: Send>(rules: Vec<(i64, Vec<SeccompRule>)>, work: impl FnOnce() -> T + Send) -> T {
    let rules: BTreeMap<i64, Vec<SeccompRule>> = rules.into_iter().collect();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap().try_into().unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            apply_filter(&filter).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

pub(super) fn no_netlink() -> (i64, Vec<SeccompRule>) {
    (libc::SYS_socket, vec![when(0, libc::AF_NETLINK as u64)])
}

fn no_ethtool_ioctl() -> (i64, Vec<SeccompRule>) {
    (libc::SYS_ioctl, vec![when(1, libc::SIOCETHTOOL)])
}

#[test]
fn offload_without_netlink_reads_by_ioctl() {
    let namespace = NetNs::new("no-netlink");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    let whole = gather::namespace(None).unwrap().namespace;
    let part = refusing(vec![no_netlink()], || gather::namespace(None).unwrap().namespace);
    assert_eq!((whole.source, part.source), (Source::Netlink, Source::Ioctl));
    for device in &whole.devices {
        let same = part.devices.iter().find(|other| other.name == device.name).unwrap();
        assert_eq!(same.features, device.features, "{}", device.name);
        assert!(same.link.is_none());
    }
    assert!(part.problems.iter().any(|problem| problem.subject == "rtnetlink"), "{:?}", part.problems);
}

#[test]
fn offload_without_any_way_says_so() {
    let namespace = NetNs::new("nothing");
    let _entered = namespace.enter();
    let error = refusing(vec![no_netlink(), no_ethtool_ioctl()], || gather::namespace(None).err().unwrap());
    let failure = error.downcast_ref::<Failure>().unwrap();
    assert_eq!(failure.code, Code::NoFeatureApi);
    assert!(failure.hint.is_some());
}

/// Replies of several hundred devices fill many datagrams.
#[test]
fn offload_reads_a_long_list_whole() {
    let namespace = NetNs::new("long");
    let _entered = namespace.enter();
    ip_batch((0..600).map(|number| format!("link add name card{number} type dummy")));
    let devices = &audit(&[]).data.namespaces[0].devices;
    assert_eq!(devices.iter().filter(|device| device.name.starts_with("card")).count(), 600);
    assert!(devices.iter().all(|device| device.features.is_some() && device.link.is_some()));
}
