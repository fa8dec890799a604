use proptest::prelude::*;

use super::fixture::{CORE, Fixture, service, stack};
use super::*;
use crate::features::FeatureState;
use crate::snapshot::Area;

fn report(a: &Fixture, b: &Fixture) -> Report {
    compare([a.group(Which::A), b.group(Which::B)], None).unwrap()
}

/// The article: VLAN 10 lost scatter-gather; sending takes 10 more cores.
fn article() -> [Fixture; 2] {
    let mut bad = service();
    bad.devices = stack(&[("eth2", "bond0", "vlan10")], FeatureState::Off);
    bad.profile.push((
        "main;write;sys_sendfile64;do_sendfile;sock_no_sendpage;tcp_sendmsg;tcp_push_one;skb_segment",
        10 * CORE,
    ));
    bad.profile.push(("main;read;asm_exc_page_fault;filemap_fault", 2 * CORE + CORE / 2));
    bad.timers[0].2 = 198_000;
    bad.latency = vec![("do_sendfile", 172_000)];
    bad.settings.push((
        Area::Sysctl,
        None,
        "net.core.default_qdisc",
        "fq_codel",
        Some("/usr/lib/sysctl.d/50.conf:9"),
    ));
    let mut good = service();
    good.settings.push((Area::Sysctl, None, "net.core.default_qdisc", "pfifo_fast", None));
    [good, bad]
}

#[test]
fn the_articles_cause_is_on_top_with_its_symptoms() {
    let [good, bad] = article();
    let found = report(&good, &bad);
    assert_eq!(found.work.basis, Basis::Same(WorkKind::BytesSent));
    let cores = found.cores.unwrap();
    assert_eq!((cores.a, cores.b), (3.0, 15.5));
    let first = &found.causes[0];
    assert_eq!((first.rule.id, first.cores), ("offload-send", Some(10.0)));
    assert_eq!(first.settings[0].places[0].role.as_deref(), Some("vlan 10 on bond"));
    let told: Vec<&str> = first.symptoms.iter().map(|symptom| symptom.name.as_str()).collect();
    for name in ["skb_segment", "tcp_write_timer", "do_sendfile"] {
        assert!(told.contains(&name), "{told:?}");
    }
    let rest = found.unexplained.as_ref().unwrap();
    assert_eq!((rest.cores, rest.mostly[0].name.as_str()), (2.5, "filemap_fault"));
    let other = &found.others[0];
    assert_eq!((other.rule.unwrap().id, other.difference.class), ("qdisc", settings::Class::Os));
    assert_eq!(found.verdict, Verdict::Differs);
}

#[test]
fn devices_are_found_by_their_place_in_the_stack() {
    let [good, mut bad] = article();
    bad.devices = stack(&[("enp3s0", "bond1", "prod.10")], FeatureState::Off);
    bad.rates[0].1 = Some("enp3s0");
    let found = report(&good, &bad);
    let place = &found.causes[0].settings[0].places[0];
    assert_eq!((place.a.as_str(), place.b.as_str()), ("vlan10", "prod.10"));
}

#[test]
fn no_core_is_counted_twice() {
    let [good, mut bad] = article();
    // Two rules know this path: the queue is nearer to the tip.
    bad.profile
        .push(("main;do_sendfile;tcp_sendmsg;skb_segment;__dev_queue_xmit;fq_codel_enqueue", 4 * CORE));
    let found = report(&good, &bad);
    let cores =
        |id: &str| found.causes.iter().find(|cause| cause.rule.id == id).and_then(|cause| cause.cores);
    assert_eq!((cores("offload-send"), cores("qdisc")), (Some(10.0), Some(4.0)));
    let sum: f64 = found.causes.iter().filter_map(|cause| cause.cores).sum();
    let whole = found.cores.unwrap().difference();
    assert!((sum + found.unexplained.unwrap().cores - whole).abs() < 1e-9);
}

#[test]
fn cores_are_those_at_the_same_work() {
    let [good, mut bad] = article();
    bad.rates[0].3 /= 4;
    let found = report(&good, &bad);
    assert_eq!(found.work.basis, Basis::PerUnit(WorkKind::BytesSent, 0.25));
    assert_eq!(found.cores.unwrap().b, 62.0);
    bad.rates[0].3 = 1000;
    let found = report(&good, &bad);
    assert_eq!(found.work.basis, Basis::NotComparable);
    assert_ne!(found.verdict, Verdict::Regressed);
    let said = compare([good.group(Which::A), bad.group(Which::B)], Some([100.0, 50.0])).unwrap();
    assert_eq!(said.work.basis, Basis::PerUnit(WorkKind::Given, 0.5));
}

#[test]
fn a_host_is_the_same_as_itself() {
    let [_, bad] = article();
    let found = report(&bad, &bad);
    assert_eq!((found.verdict, found.causes.len(), found.others.len()), (Verdict::Same, 0, 0));
    assert_eq!(found.unexplained.map(|rest| rest.mostly), Some(Vec::new()));
}

#[test]
fn of_groups_counts_what_all_of_one_and_none_of_the_other_have() {
    let [good, bad] = article();
    let group = |name: &str, hosts: &[&Fixture]| Group {
        name: name.into(),
        members: hosts.iter().zip(1..).map(|(host, at)| host.member(&format!("{name}-{at}"))).collect(),
    };
    let mut with_fq = good.clone();
    with_fq.settings[0].3 = "fq_codel";
    let sides = [group("good", &[&good, &with_fq, &good]), group("bad", &[&bad, &bad, &bad])];
    let found = compare(sides, None).unwrap();
    assert_eq!(found.causes[0].rule.id, "offload-send");
    assert!(found.others.iter().all(|other| other.difference.name != "net.core.default_qdisc"));
    assert_eq!(found.cores.unwrap().change.verdict, Verdict::Regressed);
    assert_eq!(found.verdict, Verdict::Regressed);
}

#[test]
fn what_one_kernel_does_not_have_is_not_off() {
    let [mut a, mut b] = [service(), service()];
    b.kernel = "7.2.0";
    b.settings.push((Area::Sysctl, None, "net.ipv4.tcp_pingpong_thresh", "1", None));
    a.settings.push((Area::Kernel, Some("cmdline"), "mitigations", "off", None));
    let found = report(&a, &b);
    let of = |name: &str| found.others.iter().find(|other| other.difference.name == name).unwrap();
    let new = &of("net.ipv4.tcp_pingpong_thresh").difference;
    assert_eq!((&new.a, new.class), (&None, settings::Class::Os));
    assert_eq!(of("mitigations").difference.class, settings::Class::Set);
    assert_eq!(found.verdict, Verdict::Differs);
}

#[test]
fn a_side_without_recordings_is_refused() {
    let none = Group { name: "A".into(), members: Vec::new() };
    let refused = compare([none, service().group(Which::B)], None);
    assert!(matches!(refused, Err(Refusal::Nothing(name)) if name == "A"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_other_way_round_is_its_mirror(
        samples in prop::collection::vec(0..20 * CORE, 4),
        timers in 0_u64..100_000,
        sends in 1_u64..1_000_000_000,
    ) {
        let [good, mut bad] = article();
        for ((_, count), new) in bad.profile.iter_mut().zip(&samples) {
            *count = *new;
        }
        bad.timers[0].2 = timers;
        bad.rates[0].3 = sends;
        let (there, back) = (report(&good, &bad), report(&bad, &good));
        // Causes that carry something are the same ones; what is by unit of work is of
        // the other side's work.
        let mut there_ids: Vec<&str> = there.causes.iter().map(|cause| cause.rule.id).collect();
        let mut back_ids: Vec<&str> = back.causes.iter().map(|cause| cause.rule.id).collect();
        there_ids.sort_unstable();
        back_ids.sort_unstable();
        prop_assert_eq!(there_ids, back_ids);
        prop_assert_eq!(there.verdict.mirrored(), back.verdict);
        for (one, other) in there.causes.iter().zip(&back.causes).filter(|(one, other)| one.rule.id == other.rule.id) {
            prop_assert_ne!(one.worse, other.worse);
        }
        for report in [&there, &back] {
            let sum: f64 = report.causes.iter().filter_map(|cause| cause.cores).sum();
            let rest = report.unexplained.as_ref().unwrap().cores;
            let whole = report.cores.unwrap().difference();
            prop_assert!((sum + rest - whole).abs() < 1e-6 * whole.abs().max(1.0));
        }
    }
}

#[test]
fn what_one_kernel_alone_knows_is_no_cause() {
    let [good, mut bad] = article();
    bad.kernel = "7.2.0";
    bad.profile.push(("main;do_sendfile;tcp_sendmsg;tcp_v4_rcv", 2 * CORE));
    bad.rates.push((Area::Link, Some("eth2"), "tx_packets", 900_000));
    bad.settings.push((Area::Link, Some("eth2"), "gso_ipv4_max_size", "65536", None));
    let ids = |found: &Report| found.causes.iter().map(|cause| cause.rule.id).collect::<Vec<_>>();
    assert!(!ids(&report(&good, &bad)).contains(&"mtu"));
    let mut both = good.clone();
    both.settings.push((Area::Link, Some("eth2"), "gso_ipv4_max_size", "131072", None));
    assert!(ids(&report(&both, &bad)).contains(&"mtu"));
}

#[test]
fn the_better_side_does_not_spend_more_time_for_it() {
    let [good, mut bad] = article();
    // What A lacks makes calls take longer there, and B spends more time all the same.
    let mut slow = good.clone();
    slow.devices = stack(&[("eth2", "bond0", "vlan10")], FeatureState::Off);
    slow.latency = vec![("do_sendfile", 172_000)];
    bad.devices = stack(&[("eth2", "bond0", "vlan10")], FeatureState::On);
    bad.latency = vec![("do_sendfile", 17_000)];
    let found = report(&slow, &bad);
    let cause = found.causes.iter().find(|cause| cause.rule.id == "offload-send").unwrap();
    assert_eq!((cause.worse, cause.cores), (Which::A, None));
    assert_eq!(found.unexplained.unwrap().cores, found.cores.unwrap().difference());
}

#[test]
fn what_makes_b_worse_comes_first_though_b_is_hardly_better() {
    let [good, mut bad] = article();
    // A lacks the same: nothing of it differs. B has a smaller MTU, and a little less to do.
    let mut lacking = good.clone();
    lacking.settings.push((Area::Link, Some("vlan10"), "mtu", "1500", None));
    lacking.settings.push((Area::Sysctl, None, "net.ipv4.tcp_limit_output_bytes", "1048576", None));
    lacking.profile.push(("main;process;parse;sk_stream_wait_memory", CORE / 4));
    bad = Fixture { settings: bad.settings, ..good };
    bad.settings.push((Area::Link, Some("vlan10"), "mtu", "600", None));
    bad.settings.push((Area::Sysctl, None, "net.ipv4.tcp_limit_output_bytes", "4194304", None));
    bad.profile.push(("main;process;ip_fragment", CORE / 5));
    let found = report(&lacking, &bad);
    assert_eq!(found.causes[0].rule.id, "mtu");
    assert!(found.causes[1].cores.unwrap() < 0.0, "{:?}", found.causes);
}

#[test]
fn what_somebody_set_comes_before_what_the_os_brings() {
    let [good, mut bad] = article();
    bad.profile.push(("main;do_softirq;net_rx_action;napi_poll", 12 * CORE));
    let file = Some("/usr/lib/sysctl.d/50-default.conf:3");
    let rps = |entries| (Area::Sysctl, None, "net.core.rps_sock_flow_entries", entries, file);
    let mut old = good.clone();
    old.settings.push(rps("0"));
    bad.settings.push(rps("32768"));
    let found = report(&old, &bad);
    let ids: Vec<&str> = found.causes.iter().map(|cause| cause.rule.id).collect();
    assert_eq!(ids[..2], ["offload-send", "interrupts"]);
    // Beside much more it is not the first.
    bad.profile.push(("main;do_softirq;net_rx_action;napi_poll", 100 * CORE));
    assert_eq!(report(&old, &bad).causes[0].rule.id, "interrupts");
}

#[test]
fn symptoms_tell_where_settings_contradict_each_other() {
    let memory = |host: &Fixture, net: &'static str, tcp: &'static str| {
        let mut host = host.clone();
        host.settings.push((Area::Sysctl, None, "net.core.wmem_max", net, None));
        host.settings.push((Area::Sysctl, None, "net.ipv4.tcp_wmem", tcp, None));
        host
    };
    let small = memory(&service(), "4194304", "4096 8192 8192");
    let large = memory(&service(), "212992", "4096 16384 4194304");
    for (waits, worse, settings) in [(1, Which::B, "net.ipv4.tcp_wmem"), (0, Which::A, "net.core.wmem_max")] {
        let mut hosts = [large.clone(), small.clone()];
        hosts[waits].profile.push(("main;process;tcp_sendmsg;sk_stream_wait_memory", CORE));
        let found = report(&hosts[0], &hosts[1]);
        let cause = found.causes.iter().find(|cause| cause.rule.id == "tcp-memory").unwrap();
        let names: Vec<&str> = cause.settings.iter().map(|row| row.name.as_str()).collect();
        assert_eq!((cause.worse, names), (worse, vec![settings]));
    }
}

#[test]
fn what_a_counter_of_the_users_says_is_the_work() {
    let [good, bad] = article();
    let counted = |fixture: &Fixture, which, each: &[(u64, u64)]| {
        let mut group = fixture.group(which);
        for recording in &mut group.members[0].capture.recordings {
            // As of two recordings in one go: the same in all that were made in it.
            let (thousandths, over_us) = each[usize::from(recording.command == "profile") % each.len()];
            recording.side = Some(crate::recording::Side {
                work: Some(crate::recording::WorkDone { thousandths, over_us }),
                ..Default::default()
            });
        }
        group
    };
    let a = counted(&good, Which::A, &[(1_000_000, 1_000_000), (3_000_000, 1_000_000)]);
    let b = counted(&bad, Which::B, &[(8_000_000, 2_000_000)]);
    let found = compare([a.clone(), b], None).unwrap();
    assert_eq!(found.work.basis, Basis::PerUnit(WorkKind::Counted, 2.0));
    assert_eq!((found.work.measures[0].a, found.work.measures[0].b), (2000.0, 4000.0));
    // On one side alone it says nothing.
    let found = compare([a, bad.group(Which::B)], None).unwrap();
    assert_eq!(found.work.basis, Basis::Same(WorkKind::BytesSent));
}

#[test]
fn of_what_was_mostly_lost_nothing_follows() {
    let [good, bad] = article();
    let lossy = |fixture: &Fixture, which, keep: &[&str]| {
        let mut group = fixture.group(which);
        let recordings = &mut group.members[0].capture.recordings;
        recordings.retain(|recording| keep.contains(&recording.command.as_str()));
        for recording in recordings.iter_mut().filter(|recording| recording.command == "profile") {
            let crate::recording::Data::Trace(trace) = &mut recording.data else { panic!("{recording:?}") };
            trace.accounting.as_mut().unwrap().sample_missed = Some(10 * CORE);
        }
        group
    };
    let verdict = |keep: &[&str], b: &Fixture| {
        compare([lossy(&good, Which::A, keep), lossy(b, Which::B, keep)], None).unwrap().verdict
    };
    assert_eq!(verdict(&["profile"], &bad), Verdict::Invalid);
    // Settings are no samples, and neither are latencies.
    assert_eq!(verdict(&["profile", "snapshot"], &bad), Verdict::Differs);
    assert_eq!(verdict(&["profile", "funclatency"], &bad), Verdict::Indicative);
    assert_eq!(verdict(&["profile", "snapshot"], &good), Verdict::Invalid);
}
