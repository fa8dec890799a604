//! One fact is taken from a capable host at a time.

use hostdiag_model::{Check, CheckState};

use super::plan;
use crate::kernel::caps::{Capabilities, Capability};
use crate::kernel::facts::{Attempt, Facts, Kallsyms, Mechanism};

/// The checks that are not ok once `spoil` is done to a capable host.
fn without(spoil: impl FnOnce(&mut Facts)) -> Vec<Check> {
    let mut facts = Facts::capable();
    spoil(&mut facts);
    plan(&facts).into_iter().filter(|check| check.state != CheckState::Ok).collect()
}

fn names(checks: &[Check]) -> Vec<&str> {
    checks.iter().map(|check| check.name.as_str()).collect()
}

fn refuse(facts: &mut Facts, mechanisms: &[Mechanism]) {
    for mechanism in mechanisms {
        facts.attach.insert(*mechanism, Attempt::Refused("Operation not supported".into()));
    }
}

#[test]
fn a_capable_host_lacks_nothing() {
    assert_eq!(without(|_| {}), []);
}

#[test]
fn names_are_unique_and_every_gap_has_a_remedy() {
    let mut facts = Facts::capable();
    facts.caps = Capabilities::default();
    facts.attach.clear();
    let checks = plan(&facts);
    let mut names = names(&checks);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), checks.len());
    for check in checks.iter().filter(|check| check.state != CheckState::Ok) {
        assert!(check.remedy.is_some(), "{check:?}");
        assert!(!check.detail.is_empty(), "{check:?}");
    }
}

#[test]
fn another_machine_is_refused_by_name() {
    let checks = without(|facts| facts.host.machine = Some("aarch64".into()));
    assert_eq!(names(&checks), ["machine"]);
    assert!(checks[0].required);
    assert_eq!(checks[0].detail, "aarch64 is not supported");
}

#[test]
fn without_rtnetlink_offload_cannot_work() {
    let checks = without(|facts| facts.rtnetlink = Err("refused".into()));
    assert_eq!(names(&checks), ["rtnetlink"]);
    assert!(checks[0].required);
}

#[test]
fn without_ethtool_netlink_features_come_by_ioctl() {
    assert_eq!(without(|facts| facts.ethtool_netlink = Ok(false)), []);
}

#[test]
fn a_missing_capability_is_named_and_does_not_block_the_audit() {
    let checks = without(|facts| facts.caps = facts.caps.without(Capability::NetAdmin));
    assert_eq!(names(&checks), ["cap-net-admin"]);
    let checks = without(|facts| {
        facts.caps = facts.caps.without(Capability::Bpf).without(Capability::SysAdmin);
    });
    assert_eq!(names(&checks), ["cap-bpf+cap-perfmon", "cap-sys-admin"]);
    assert_eq!(checks[0].detail, "no CAP_BPF");
    assert!(checks.iter().all(|check| !check.required));
}

#[test]
fn who_lacks_a_privilege_is_told_how_to_get_it() {
    let remedy = |root: bool| {
        let checks = without(|facts| {
            facts.root = root;
            facts.caps = facts.caps.without(Capability::NetAdmin);
        });
        checks[0].remedy.clone().unwrap()
    };
    assert_eq!(remedy(false), "run it as root: sudo hostdiag doctor");
    assert!(remedy(true).contains("container"));
}

#[test]
fn without_btf_vlan_features_are_not_read() {
    let checks = without(|facts| facts.btf = false);
    assert_eq!(names(&checks), ["btf"]);
    assert!(checks[0].needed_for.iter().any(|what| what.starts_with("offload")));
}

#[test]
fn integrity_lockdown_is_fine_confidentiality_is_not() {
    assert_eq!(without(|facts| facts.lockdown = Some("integrity".into())), []);
    assert_eq!(names(&without(|facts| facts.lockdown = Some("confidentiality".into()))), ["lockdown"]);
    assert_eq!(without(|facts| facts.lockdown = None)[0].state, CheckState::Unknown);
}

/// Neither another kernel nor a mount gives what lockdown forbids.
#[test]
fn what_lockdown_forbids_takes_another_boot() {
    let locked = without(|facts| {
        facts.lockdown = Some("confidentiality".into());
        refuse(facts, &[Mechanism::Kprobe]);
        facts.tracefs = Err("Operation not permitted".into());
        facts.function_list = Err("Operation not permitted".into());
    });
    assert_eq!(names(&locked), ["lockdown", "kprobe", "tracefs", "function-list"]);
    let boot = |check: &Check| check.remedy.as_ref().unwrap().contains("boot without lockdown");
    assert!(locked.iter().all(boot), "{locked:?}");
}

#[test]
fn the_next_best_way_to_attach_is_chosen() {
    use Mechanism::{Fentry, Kprobe, KprobeMulti, KprobeSession};
    let chosen = |mechanisms: &[Mechanism]| {
        let mut facts = Facts::capable();
        refuse(&mut facts, mechanisms);
        let found = plan(&facts).into_iter().find(|check| check.name == "function-probes").unwrap();
        (found.state, found.detail)
    };
    assert_eq!(chosen(&[]).1, "few by fentry, many by kprobe.session");
    assert_eq!(chosen(&[KprobeSession]).1, "few by fentry, many by kprobe.multi");
    assert_eq!(chosen(&[KprobeSession, KprobeMulti]).1, "few by fentry, many by fentry");
    assert_eq!(chosen(&[KprobeSession, KprobeMulti, Fentry]).1, "few by kprobe, many by kprobe");
    assert_eq!(chosen(&[KprobeSession, KprobeMulti, Fentry, Kprobe]).0, CheckState::Missing);
}

#[test]
fn hidden_addresses_have_the_sysctl_as_remedy() {
    let checks = without(|facts| facts.kallsyms = Kallsyms::Hidden);
    assert_eq!(checks[0].remedy.as_deref(), Some("sudo sysctl kernel.kptr_restrict=1"));
}

#[test]
fn tracefs_that_is_not_mounted_has_the_mount_as_remedy() {
    let checks = without(|facts| facts.tracefs = Err("No such file or directory".into()));
    assert_eq!(checks[0].remedy.as_deref(), Some("sudo mount -t tracefs tracefs /sys/kernel/tracing"));
}

#[test]
fn each_smaller_fact_has_its_own_check() {
    type Spoil = fn(&mut Facts);
    let cases: [(Spoil, &str); 9] = [
        (|facts| facts.function_list = Err("Operation not permitted".into()), "function-list"),
        (|facts| facts.pmus.retain(|pmu| pmu != "kprobe"), "pmu-kprobe"),
        (|facts| facts.pmus.retain(|pmu| pmu != "uprobe"), "pmu-uprobe"),
        (|facts| _ = facts.sysctls.remove("perf_event_paranoid"), "perf-paranoid"),
        (|facts| facts.types[1].1 = Some(false), "bpf-types"),
        (|facts| facts.counts_missed = false, "missed-calls"),
        (|facts| facts.counts_recursion = false, "recursion"),
        (|facts| _ = facts.limits.insert("Max open files", Some(256)), "open-files"),
        (|facts| facts.foreign_programs = None, "bpf-stats"),
    ];
    for (spoil, name) in cases {
        assert_eq!(names(&without(spoil)), [name]);
    }
}

#[test]
fn a_small_limit_matters_only_to_who_is_charged_and_cannot_raise_it() {
    let small = |facts: &mut Facts| {
        facts.limits.insert("Max locked memory", Some(65536));
        facts.caps = facts.caps.without(Capability::SysResource);
    };
    assert_eq!(without(small), []);
    let charged = |facts: &mut Facts| facts.charges_locked_memory = true;
    assert_eq!(without(charged), []);
    let checks = without(|facts| {
        small(facts);
        charged(facts);
    });
    assert_eq!(names(&checks), ["locked-memory"]);
}

#[test]
fn leftovers_are_missing_only_while_they_remain() {
    assert_eq!(without(|facts| facts.leftovers = vec!["kprobe event a/b: removed".into()]), []);
    let left = |facts: &mut Facts| facts.leftovers = vec!["/run/hostdiag/x.7: its process is gone".into()];
    assert_eq!(names(&without(left)), ["leftovers"]);
}
