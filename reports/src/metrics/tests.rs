use hostdiag_model::history::Who;
use hostdiag_model::offload::Problem;
use hostdiag_model::recording::{Data, Recording};
use hostdiag_model::{Device, FeatureState, Link};
use proptest::prelude::*;

use super::check::{check, labels};
use super::*;

/// Findings, two VLANs on a bond, veths.
const ARTICLE: &[u8] = include_bytes!("../../../tests/recordings/article-stable.hd");
const GOLDEN: &str = include_str!("golden.prom");
const SG: &str = "tx-scatter-gather";

fn article() -> (OffloadData, Audit) {
    let recording = Recording::read(&mut &*ARTICLE).unwrap();
    let Data::Offload(data, audit) = recording.data else { panic!("no audit") };
    (data, audit)
}

fn change(what: What, run: &str, device: &str) -> HistoryEntry {
    HistoryEntry {
        time_ms: 1,
        run: run.into(),
        what,
        netns: None,
        device: device.into(),
        feature: Some(SG.into()),
        before: None,
        after: None,
        who: Who::default(),
        command: String::new(),
        reason: None,
    }
}

fn look<'a>(data: &'a OffloadData, audit: &'a Audit, history: &'a [HistoryEntry]) -> Look<'a> {
    Look {
        version: "0.1.0",
        data,
        audit,
        counts: &|device, feature| device != "eth3" && [SG, "tx-tcp-segmentation"].contains(&feature),
        history: Some(history),
        held: None,
        ended_ms: 1_795_478_399_250,
        took_ms: 12,
    }
}

#[test]
fn the_article_as_metrics() {
    let (data, audit) = article();
    let history = [
        change(What::Set, "a", "vlan10"),
        change(What::Set, "a", "vlan10"),
        change(What::Rollback, "a", "vlan10"),
        change(What::Recompute, "b", "vlan10"),
        change(What::Set, "b", "gone"),
        change(What::Undo, "c", "vlan100"),
    ];
    let held = BTreeSet::from(["vlan100".to_owned()]);
    let look = Look { held: Some(&held), ..look(&data, &audit, &history) };
    let text = text(&look);
    assert_eq!(check(&text), Ok(()));
    if text != GOLDEN {
        panic!("golden.prom is not:\n{text}");
    }
}

#[test]
fn what_is_not_known_has_no_series() {
    let (mut data, audit) = article();
    data.namespaces[0].problems = vec![Problem { subject: "x".into(), message: "y".into() }];
    let text = text(&Look { history: None, ..look(&data, &audit, &[]) });
    assert!(!text.contains("_total") && !text.contains("_held"), "{text}");
    assert!(text.contains("\nhostdiag_offload_unread 1\n"), "{text}");
}

/// A VLAN of that name on a card, and in a namespace of that name another.
fn named(names: &[String]) -> OffloadData {
    let device = |name: &str, ifindex, lower: Option<u32>| {
        let kind = lower.map(|_| "vlan".to_owned());
        Device {
            name: name.to_owned(),
            link: Some(Link { ifindex, kind, lower, ..Link::default() }),
            features: Some([(SG.into(), FeatureState::On)].into_iter().collect()),
            vlan_features: None,
        }
    };
    let vlans = names.iter().enumerate().map(|(at, name)| device(name, at as u32 + 2, Some(1)));
    let mut namespace = Namespace::of_text(std::iter::once(device("eth0", 1, None)).chain(vlans).collect());
    namespace.name = Some(names.concat());
    OffloadData { namespaces: vec![namespace], intents: None, intents_incomplete: false, held: Vec::new() }
}

proptest! {
    /// Names as the kernel takes them: any bytes, which were read as lossy UTF-8.
    #[test]
    fn every_name_is_told_and_none_breaks_the_file(
        names in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..16)
                    .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                "[\\\\\"\n{},= a]{0,8}",
            ],
            0..6,
        ),
    ) {
        let data = named(&names);
        let text = text(&look(&data, &Audit::default(), &[]));
        prop_assert_eq!(check(&text), Ok(()));
        let told: BTreeSet<String> = text
            .split('\n')
            .filter_map(|line| line.strip_prefix("hostdiag_offload_feature_active{"))
            .flat_map(|line| labels(line).unwrap().0)
            .filter_map(|(name, value)| (name == "device").then_some(value))
            .collect();
        let mut there: BTreeSet<String> = names.iter().cloned().collect();
        if !names.is_empty() {
            there.insert("eth0".into());
        }
        prop_assert_eq!(told, there);
    }

    #[test]
    fn any_text_is_checked(text in "(# (HELP|TYPE) )?[a-z_]{0,3}[{]?([a-z]=\"[\\\\\"n]{0,3}\")?[}]? ?[0-9 ]{0,3}\n?") {
        let _ = check(&text);
    }
}

/// What the collector drops, as a whole or a series, and most of what promtool does not tell.
#[test]
fn what_the_collector_would_drop_is_refused() {
    let head = "# HELP a b\n# TYPE a gauge\n";
    assert_eq!(check(&format!("{head}a 1\na{{x=\"y\"}} 2\n")), Ok(()));
    let wrong = [
        (format!("{head}a 1"), "no newline"),
        (String::new(), "no newline"),
        (format!("{head}a 1 1795478399\n"), "line 3: no value"),
        (format!("{head}a 1\na 2\n"), "line 4: a 2 comes twice"),
        (format!("{head}a{{x=\"1\",y=\"2\"}} 1\na{{y=\"2\",x=\"1\"}} 1\n"), "comes twice"),
        (format!("{head}a 1\n{head}a{{x=\"1\"}} 1\n"), "line 4: a comes twice"),
        (format!("{head}b 1\n"), "does not follow"),
        ("a 1\n".into(), "does not follow"),
        ("# HELP a b\na 1\n".into(), "does not follow"),
        ("# TYPE a gauge\na 1\n".into(), "does not follow"),
        ("# HELP a b\n# TYPE a counter\na 1\n".into(), "no counter by its name"),
        ("# HELP a_total b\n# TYPE a_total gauge\n".into(), "no gauge by its name"),
        ("# HELP 1a b\n".into(), "no name"),
        (format!("{head}a x\n"), "no value"),
        (format!("{head}a NaN\n"), "no value"),
        (format!("{head}a{{x=\"\\y\"}} 1\n"), "a backslash"),
        (format!("{head}a{{x=\"y}} 1\n"), "closing quote"),
        (format!("{head}a{{x=\"y\"z=\"\"}} 1\n"), "neither a comma"),
        (format!("{head}a{{x=\"y\",x=\"z\"}} 1\n"), "given twice"),
        (format!("{head}\n"), "neither labels nor a value"),
    ];
    for (text, why) in wrong {
        let error = check(&text).unwrap_err();
        assert!(error.contains(why), "{error}, not {why}, of\n{text}");
    }
}
