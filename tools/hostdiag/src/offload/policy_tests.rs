//! What a policy says, and what is said about a wrong one.

use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"# Reviewed by the network team.
[[accept]]
device = "vlan*"
feature = "tso"
reason = """Firmware drops
fragments"""
until = 2027-01-31

[[accept]]
device = "eth[01]"
feature = "rx-gro"
reason = "router"
"#;

const REPAIR: &str = r#"mode = "repair"
[repair]
features = ["sg", "tx-*-segmentation", "rx-gro", "tx-quic-segmentation"]
include = ["vlan*", "bond0"]
leave = ["vlan2??"]
[[repair.device]]
device = "eth0"
features = ["lro", "rx-gro-hw", "tx-esp-*", "tx"]
"#;

fn day(year: u16, month: u8, day: u8) -> Date {
    Date { year, month, day }
}

fn policy(text: &str) -> Policy {
    Policy::parse(text, "offload.toml").unwrap()
}

#[test]
fn entries_accept_until_their_last_day() {
    let policy = policy(TEXT);
    let accept = policy.accepts("vlan10", "tx-tcp6-segmentation", day(2027, 1, 31)).unwrap();
    assert_eq!((accept.reason.as_str(), accept.line), ("Firmware drops fragments", 2));
    assert_eq!(policy.accepts("vlan10", "tx-tcp6-segmentation", day(2027, 2, 1)), None);
    assert_eq!(policy.accepts("bond0", "tx-tcp6-segmentation", day(2026, 1, 1)), None);
    assert_eq!(policy.accepts("vlan10", "tx-scatter-gather", day(2026, 1, 1)), None);
    assert_eq!(policy.accepts("eth1", "rx-gro", day(9999, 12, 31)).unwrap().line, 9);
    assert_eq!(policy.expired(day(2027, 1, 31)).count(), 0);
    let expired: Vec<_> = policy.expired(day(2027, 2, 1)).map(|accept| accept.line).collect();
    assert_eq!(expired, [2]);
    assert_eq!(policy.accepts[0].until.unwrap().to_string(), "2027-01-31");
}

#[test]
fn an_empty_policy_accepts_nothing() {
    assert_eq!(policy("").accepts("eth0", "rx-gro", day(2026, 1, 1)), None);
    assert!(policy("accept = []").accepts.is_empty());
}

#[test]
fn errors_name_file_line_and_the_nearest_word() {
    let cases = [
        ("[[accpet]]\n", "line 1: unknown table `accpet`; did you mean `accept`?"),
        ("\nmode = 1\n", "line 2: `mode` is to be a string, not integer"),
        ("mode = 'repiar'\n", "line 1: unknown mode `repiar`; did you mean `repair`?"),
        ("mode = 'x'\n", "line 1: unknown mode `x`; there are: report, repair"),
        ("mood = 'repair'\n", "line 1: unknown key `mood`; did you mean `mode`?"),
        ("[reparation]\n", "line 1: unknown table `reparation`; did you mean `repair`?"),
        ("x = []\n", "line 1: unknown key `x`; there are: mode, repair, accept"),
        ("[repair]\nmode = 'repair'\n", "line 2: write `mode` above the first table"),
        ("repair = true\n", "line 1: write it as [repair]"),
        ("[[repair]]\n", "line 1: write it as [repair]"),
        ("[repair]\nfeature = ['sg']\n", "line 2: unknown key `feature`; did you mean `features`?"),
        ("[repair]\nfeatures = 'sg'\n", "line 2: `features` is to be a list of strings, not string"),
        ("[repair]\ninclude = []\n", "line 2: `include` is an empty list"),
        ("[repair]\nleave = [\n'a',\n1]\n", "line 4: `leave` is to be a string, not integer"),
        ("[repair]\nleave = ['a', ' ']\n", "line 2: `leave` is empty"),
        (
            "[repair]\nfeatures = ['sg',\n'rx-gro-hw']\n",
            "line 3: no list covers `rx-gro-hw` (it may reset the card, and excludes XDP and LRO); write a \
             [[repair.device]] for the one device that is to have it",
        ),
        (
            "[repair]\nfeatures = ['large-receive-offload']\n",
            "line 2: no list covers `large-receive-offload` (merged packets cannot be forwarded or bridged, and a \
             router's kernel does not refuse it); write a [[repair.device]] for the one device that is to have it",
        ),
        ("[repair.device]\ndevice='a'\n", "line 1: write each entry as [[repair.device]]"),
        ("[[repair.device]]\n", "line 1: this entry has no `device`, which it needs"),
        ("[[repair.device]]\ndevice='a'\n", "line 1: this entry has no `features`, which it needs"),
        ("[[repair.device]]\ndevice='a'\nfeatures=[]\n", "line 3: `features` is an empty list"),
        ("[[repair.device]]\ndevices='a'\n", "line 2: unknown key `devices`; did you mean `device`?"),
        (
            "[[repair.device]]\ndevice='eth*'\nfeatures=['sg']\n",
            "line 1: a [[repair.device]] is for just one device, `eth*` is a pattern",
        ),
        (
            "[[repair.device]]\ndevice='enp0s31f6np0d0.4'\nfeatures=['sg']\n",
            "line 1: `enp0s31f6np0d0.4` is longer than the name of any device",
        ),
        (
            "[repair]\nleave=['eth?']\n[[repair.device]]\ndevice='eth0'\nfeatures=['sg']\n",
            "line 3: `eth0` is left alone by `leave` (`eth?`); take one of them out",
        ),
        ("[accept]\ndevice = 'a'\n", "line 1: write each entry as [[accept]]"),
        ("accept = [1]\n", "line 1: write each entry as [[accept]]"),
        ("[[accept]]\nreasn = 'x'\n", "line 2: unknown key `reasn`; did you mean `reason`?"),
        ("[[accept]]\nx = 'x'\n", "line 2: unknown key `x`; there are: device, feature, reason, until"),
        ("\n[[accept]]\ndevice = 'a'\nfeature = 'b'\n", "line 2: this entry has no `reason`, which it needs"),
        ("[[accept]]\ndevice = 'a'\nfeature = 'b'\nreason = '  '\n", "line 4: `reason` is empty"),
        ("[[accept]]\ndevice = 7\n", "line 2: `device` is to be a string, not integer"),
        ("[[accept]]\ndevice = \"a\\u001b\"\n", "line 2: `device` contains control characters"),
        (
            "[[accept]]\ndevice='a'\nfeature='b'\nreason='c'\nuntil='2027-01-31'\n",
            "line 5: `until` is to be a day without quotes and time, such as 2027-01-31",
        ),
        (
            "[[accept]]\ndevice='a'\nfeature='b'\nreason='c'\nuntil=2027-01-31T10:00:00\n",
            "line 5: `until` is to be a day without quotes and time, such as 2027-01-31",
        ),
    ];
    for (text, message) in cases {
        let error = Policy::parse(text, "offload.toml").expect_err(text);
        assert_eq!(format!("{error}"), format!("offload.toml, {message}"));
    }
    for text in ["[[accept]\n", "[[accept]]\nuntil = 2027-13-01\n", "a = 1\na = 2\n"] {
        let error = Policy::parse(text, "offload.toml").expect_err(text).to_string();
        assert!(error.starts_with("offload.toml, line "), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn unknown_features_are_listed_with_a_hint() {
    let text = |feature: &str| format!("[[accept]]\ndevice='*'\nfeature='{feature}'\nreason='r'\n");
    let known = ["tx-scatter-gather", "rx-gro"];
    let hint = |feature: &str| {
        policy(&text(feature)).unknown_features(&known).first().map(|(_, hint)| hint.map(str::to_owned))
    };
    assert_eq!(hint("tx-scater-gather"), Some(Some("tx-scatter-gather".to_owned())));
    assert_eq!(hint("zzzzz"), Some(None));
    for fine in ["sg", "large-receive-offload", "tx-*", "rx-gro"] {
        assert_eq!(hint(fine), None, "{fine}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = Policy::parse(&text, "x");
    }

    #[test]
    fn no_list_repairs_what_needs_a_line_for_one_device(
        patterns in prop::collection::vec("[a-z*?-]{1,9}|(rx|tx|hsr|esp|fcoe)-[*]", 1..4),
    ) {
        let list: Vec<String> = patterns.iter().map(|pattern| format!("'{pattern}'")).collect();
        let Ok(policy) = Policy::parse(&format!("repair.features = [{}]", list.join(",")), "x") else {
            // A list that names such a feature is refused.
            prop_assert!(patterns.iter().any(|name| names::expand(name).iter().any(|f| never::reason(f).is_some())));
            return Ok(());
        };
        for feature in names::KERNEL {
            let needs_line = matches!(policy.repairs("vlan10", feature), Allowed::NeedsDeviceLine(_));
            prop_assert_eq!(needs_line, never::reason(feature).is_some(), "{}", feature);
        }
    }

    #[test]
    fn never_panics_on_damaged_policies(at in 0..TEXT.len() + REPAIR.len(), bytes in prop::collection::vec(any::<u8>(), 0..6)) {
        let mut text = [REPAIR.as_bytes(), TEXT.as_bytes()].concat();
        let end = (at + bytes.len()).min(text.len());
        text.splice(at..end, bytes);
        let _ = Policy::parse(&String::from_utf8_lossy(&text), "x");
    }
}

#[test]
fn without_a_list_the_default_is_repaired() {
    let policy = policy("");
    assert_eq!(policy.mode(), Mode::Report);
    for feature in REPAIRED {
        assert_eq!(policy.repairs("vlan10", feature), Allowed::Yes, "{feature}");
    }
    for feature in ["rx-gro", "rx-checksum", "tx-udp-segmentation", "highdma", "tx-warp-drive"] {
        assert_eq!(policy.repairs("vlan10", feature), Allowed::NotListed, "{feature}");
    }
    assert!(
        matches!(policy.repairs("vlan10", "rx-lro"), Allowed::NeedsDeviceLine(why) if why.contains("merged"))
    );
    assert!(!policy.leaves_alone("anything"));
}

#[test]
fn a_list_replaces_the_default_and_no_pattern_covers_what_is_never_repaired() {
    let policy = policy(REPAIR);
    assert_eq!(policy.mode(), Mode::Repair);
    for feature in ["tx-scatter-gather", "tx-tcp6-segmentation", "rx-gro", "tx-quic-segmentation"] {
        assert_eq!(policy.repairs("vlan10", feature), Allowed::Yes, "{feature}");
    }
    assert_eq!(policy.repairs("vlan10", "tx-checksum-ip-generic"), Allowed::NotListed);
    for feature in
        ["tx-scatter-gather-fraglist", "tx-gre-segmentation", "tx-tcp-mangleid-segmentation", "rx-lro"]
    {
        assert!(matches!(policy.repairs("vlan10", feature), Allowed::NeedsDeviceLine(_)), "{feature}");
    }
}

#[test]
fn a_device_line_counts_for_that_device_and_what_it_names() {
    let policy = policy(REPAIR);
    for feature in ["rx-lro", "rx-gro-hw", "tx-checksum-ipv4", "rx-gro"] {
        assert_eq!(policy.repairs("eth0", feature), Allowed::Yes, "{feature}");
    }
    for feature in ["tx-esp-segmentation", "tx-checksum-sctp"] {
        assert!(matches!(policy.repairs("eth0", feature), Allowed::NeedsDeviceLine(_)), "{feature}");
    }
    assert!(matches!(policy.repairs("bond0", "rx-lro"), Allowed::NeedsDeviceLine(_)));
    assert_eq!(policy.repairs("bond0", "tx-checksum-ipv4"), Allowed::NotListed);
}

#[test]
fn leave_wins_over_include() {
    let policy = policy(REPAIR);
    let alone: Vec<&str> = ["vlan10", "vlan200", "bond0", "bond1", "eth0", "eth1"]
        .into_iter()
        .filter(|device| policy.leaves_alone(device))
        .collect();
    assert_eq!(alone, ["vlan200", "bond1", "eth1"]);
    assert_eq!(policy.repairs("vlan200", "tx-scatter-gather"), Allowed::NotListed);
    assert_eq!(policy.repairs("bond1", "rx-lro"), Allowed::NotListed);
}

#[test]
fn features_to_repair_must_exist() {
    let check = |features: &str, live: &[&str]| {
        let text = format!("[repair]\nfeatures = ['sg',\n{features}]\n");
        policy(&text).check_features(live).map_err(|error| error.to_string())
    };
    for fine in ["'tso'", "'tx-scatter-gather'", "'tx-*'", "'receive-hashing'"] {
        assert_eq!(check(fine, &[]), Ok(()), "{fine}");
    }
    assert_eq!(check("'tx-quic-segmentation'", &["tx-quic-segmentation"]), Ok(()));
    let wrong =
        "offload.toml, line 3: no kernel has a feature `tx-scater-gather`; did you mean `tx-scatter-gather`?";
    assert_eq!(check("'tx-scater-gather'", &["x"]), Err(wrong.to_owned()));
    let wrong = "offload.toml, line 3: no kernel has a feature `zzz*`; `ethtool -k` prints the names";
    assert_eq!(check("'zzz*'", &[]), Err(wrong.to_owned()));
    let wrong = check("'rx-gro']\n[[repair.device]]\ndevice='a'\nfeatures=['gros'", &[]).unwrap_err();
    assert!(wrong.contains("line 6: ") && wrong.contains("did you mean `gro`?"), "{wrong}");
}

/// What is shipped for /etc/hostdiag.
const EXAMPLE: &str = include_str!("../../../../scripts/systemd/offload.toml");

#[test]
fn the_example_says_what_holds_without_a_policy() {
    let example = policy(EXAMPLE);
    assert_eq!(example, Policy { mode: Mode::Report, ..policy("") });
    let prose: String = EXAMPLE.split_whitespace().filter(|word| *word != "#").collect::<Vec<_>>().join(" ");
    let (last, others) = REPAIRED.split_last().unwrap();
    let list = format!("the default list, which is {} and {last}.", others.join(", "));
    assert!(prose.contains(&list), "{list}");
}

#[test]
fn every_line_of_the_example_can_be_used() {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned() + "\n",
        _ => line.to_owned() + "\n",
    };
    let used = policy(&EXAMPLE.lines().map(uncomment).collect::<String>());
    used.check_features(&[]).unwrap();
    assert!(used.leaves_alone("vlan200") && used.leaves_alone("eth1") && !used.leaves_alone("vlan20"));
    assert_eq!(used.repairs("vlan20", "rx-gro"), Allowed::Yes);
    assert_eq!(used.repairs("vlan20", "rx-checksum"), Allowed::NotListed);
    assert_eq!(used.repairs("eth0", "rx-lro"), Allowed::Yes);
    assert!(used.accepts("vlan20", "tx-tcp6-segmentation", day(2027, 1, 31)).is_some());
    assert!(used.accepts("vlan20", "tx-tcp6-segmentation", day(2027, 2, 1)).is_none());
}
