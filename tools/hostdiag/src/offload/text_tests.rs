use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;

const BAD: &str = include_str!("../../../../tests/offload/text/article-vlan10-bad.txt");
const GOOD: &str = include_str!("../../../../tests/offload/text/article-vlan10-good.txt");

const LOOPBACK: &str = include_str!("../../../../tests/offload/text/linux-6.18-lo.txt");

/// The shortest text that is complete.
const SMALL: &str =
    "Features for a:\nrx-checksumming: on\nscatter-gather: on\n\ttx-scatter-gather: on\nhighdma: on\n";

/// The format as ethtool writes it: aliases with their members first.
fn render(device: &str, features: &BTreeMap<String, FeatureState>) -> String {
    let mut text = format!("Features for {device}:\n");
    let mut rest = features.clone();
    for alias in &names::ALIASES {
        let members: Vec<_> = features.iter().filter(|(name, _)| names::covers(alias.kernel, name)).collect();
        match members.as_slice() {
            [] => continue,
            [(_, state)] if !alias.is_group() => writeln!(text, "{}: {state}", alias.long).unwrap(),
            members => {
                let on = members.iter().any(|(_, state)| state.active());
                writeln!(text, "{}: {}", alias.long, if on { "on" } else { "off" }).unwrap();
                for (name, state) in members {
                    writeln!(text, "\t{name}: {state}").unwrap();
                }
            }
        }
        rest.retain(|name, _| !names::covers(alias.kernel, name));
    }
    for (name, state) in rest {
        writeln!(text, "{name}: {state}").unwrap();
    }
    text
}

fn states(device: &Device) -> BTreeMap<String, FeatureState> {
    device.features.iter().flat_map(|all| all.iter()).map(|(name, state)| (name.to_string(), state)).collect()
}

fn error(text: &str) -> TextError {
    parse(text).expect_err(text)
}

#[test]
fn the_article_reads_as_it_was_printed() {
    let [bad] = parse(BAD).unwrap().try_into().unwrap();
    let [good] = parse(GOOD).unwrap().try_into().unwrap();
    assert_eq!(bad.name, "vlan10");
    let (bad, good) = (bad.features.unwrap(), good.features.unwrap());
    assert_eq!(bad.len(), good.len());
    assert_eq!(bad.get("tx-scatter-gather"), Some(FeatureState::Off));
    assert_eq!(bad.get("tx-tcp-segmentation"), Some(FeatureState::OffRequestedOn));
    assert_eq!(bad.get("tx-udp-fragmentation"), Some(FeatureState::OffRequestedOn));
    assert_eq!(bad.get("tx-generic-segmentation"), Some(FeatureState::OffRequestedOn));
    assert_eq!(bad.get("rx-checksum"), Some(FeatureState::OffFixed));
    assert_eq!(bad.get("hw-tc-offload"), Some(FeatureState::OffFixed));
    assert_eq!(bad.get("scatter-gather"), None, "a heading is not a feature");
    let differ: Vec<_> = bad.iter().filter(|(name, state)| good.get(name) != Some(*state)).collect();
    assert_eq!(differ.len(), 8);
    assert!(differ.iter().all(|(name, _)| good.get(name) == Some(FeatureState::On)));
}

#[test]
fn todays_text_has_only_names_of_the_kernel() {
    let [lo] = parse(LOOPBACK).unwrap().try_into().unwrap();
    let lo = lo.features.unwrap();
    assert_eq!(lo.get("tx-tcp-accecn-segmentation"), Some(FeatureState::On));
    assert_eq!(lo.get("rx-gro"), Some(FeatureState::On));
    assert!(lo.iter().all(|(name, _)| names::KERNEL.contains(&&**name)));
}

#[test]
fn several_devices_crlf_mark_and_old_warnings_are_read() {
    let second = SMALL.replace("for a:", "for b@if2:");
    let warning = "Cannot get device udp-fragmentation-offload settings: Operation not supported\n";
    let text = format!("\u{feff}{warning}{SMALL}\n{second}").replace('\n', "\r\n");
    let devices = parse(&text).unwrap();
    assert_eq!(devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["a", "b@if2"]);
    assert_eq!(devices[0].features, devices[1].features);
    assert!(parse(SMALL.trim_end()).is_ok(), "without the last line end");
}

#[test]
fn errors_name_line_reason_and_remedy() {
    let cases = [
        ("", 1, "nothing in it"),
        ("\n\n", 2, "nothing in it"),
        ("eth0: flags=4163<UP>\n", 1, "not the text of ethtool -k"),
        ("Offload parameters for eth0:\nrx-checksumming: on\n", 1, "before 3.4"),
        ("Features for a:\nno feature info available\n", 2, "could not read"),
        ("netlink error: No such device\n", 1, "error message"),
        ("[ {\n", 1, "JSON"),
        ("--- /dev/fd/63\n+++ /dev/fd/62\n", 1, "output of diff"),
        ("Features for a:\n-scatter-gather: off\n+scatter-gather: on\n", 2, "output of diff"),
        ("Actual changes:\ntx-checksumming: on\n", 1, "ethtool -K"),
        ("Features for a:\n", 1, "cut off"),
        ("Features for a", 1, "cut off"),
        ("Features for :\n", 1, "name"),
        ("Features for ../x:\n", 1, "name"),
        ("Features for a:\n\nFeatures for b:\nhighdma: on\n", 1, "without features"),
        ("Features for a:\nrx-checksumming: on\n", 1, "missing"),
        ("Features for a:\nscatter-gather: on\n", 2, "without its members"),
        ("Features for a:\nscatter-gather: on\nhighdma: on\n", 2, "without its members"),
        ("Features for a:\nscatter-gather: on [fixed]\n\ttx-scatter-gather: on\nhighdma: on\n", 2, "heading"),
        ("Features for a:\n\thighdma: on\n", 2, "indented"),
        ("Features for a:\nhighdma: on\n\trx-all: on\n", 3, "indented"),
        ("Features for a:\nhighdma:\n", 2, "without its state"),
        ("Features for a:\nhighd", 2, "not complete"),
        ("Features for a:\nhighdma: of", 2, "not complete"),
        ("Features for a:\nhighdma: off [requ", 2, "not complete"),
        ("Features for a:\nhighdma: of\n", 2, "not a state"),
        ("Features for a:\nhighdma: maybe\n", 2, "not a state"),
        ("Features for a:\nhigh dma: on\n", 2, "no feature has that name"),
        ("Features for a:\nhighdma\n", 2, "not a line"),
        ("Features for a:\nhighdma: on\nhighdma: on\n", 3, "a second time"),
        ("Features for a:\nrx-checksumming: on\nrx-checksumming: on\nhighdma: on\n", 3, "a second time"),
        ("Features for a:\nhighdma: on\n\u{1b}[0m\n", 3, "control"),
        ("Features for a\u{202e}b:\nhighdma: on\n", 1, "control"),
    ];
    for (text, line, why) in cases {
        let error = error(text);
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.why.contains(why), "{text:?}: {error}");
        assert!(!error.remedy.is_empty());
        assert!(!error.to_string().contains(char::is_control));
    }
    let glued = error(&format!("{BAD}\n{BAD}"));
    assert_eq!((glued.line, glued.why), (BAD.lines().count() + 2, "the same device a second time"));
    assert_eq!(
        error("Features for a:\nhighdma: maybe\n").to_string(),
        "line 2: \"highdma: maybe\": not a state: on or off, alone or with [fixed], [requested on], \
         [requested off]; save it again: ethtool -k DEVICE > FILE"
    );
}

#[test]
fn sizes_are_limited() {
    assert_eq!(error(&"\n".repeat(MAX_LINES + 1)).line, MAX_LINES + 1);
    assert!(error(&"x".repeat(MAX_BYTES + 1)).why.contains("4 MiB"));
    let many: String = (0..=MAX_FEATURES).map(|number| format!("f{number}: on\n")).collect();
    assert!(error(&format!("Features for a:\n{many}")).why.contains("1024"));
    // Ten thousand devices are fine, and take no quadratic time.
    let hosts: String =
        (0..10_000).map(|number| format!("Features for v{number}:\nhighdma: on\n\n")).collect();
    assert_eq!(parse(&hosts).unwrap().len(), 10_000);
}

#[test]
fn every_cut_of_the_article_before_its_tail_is_noticed() {
    let tail = BAD.find("highdma").unwrap();
    for end in 0..tail {
        assert!(parse(&BAD[..end]).is_err(), "cut at {end}");
    }
    // Later only a cut inside a line can be seen.
    for end in tail + "highdma: on".len()..BAD.len() {
        if parse(&BAD[..end]).is_ok() {
            let words = BAD[..end].rsplit(": ").next().unwrap().trim_end();
            assert!(FeatureState::parse(words).is_some(), "cut at {end}");
        }
    }
}

fn feature_set() -> impl Strategy<Value = BTreeMap<String, FeatureState>> {
    let name = prop_oneof![
        8 => prop::sample::select(names::KERNEL.to_vec()).prop_map(str::to_owned),
        1 => "zz-[a-z_]{1,20}",
    ];
    let state = prop::sample::select(FeatureState::ALL.to_vec());
    prop::collection::btree_map(name, state, 0..60).prop_map(|mut features| {
        features.entry("highdma".to_owned()).or_insert(FeatureState::On);
        features
    })
}

#[test]
fn no_feature_begins_with_a_dash() {
    // Found by fuzzing: not indented, it would be taken for the output of diff.
    let text = SMALL.replace("\ttx-scatter-gather: on\n", "\ttx-scatter-gather: on\n\t-gather: on\n");
    assert_eq!(parse(&text).unwrap_err().why, "no feature has that name");
}

#[test]
fn a_feature_of_a_group_is_not_the_last_part() {
    // Found by fuzzing: written anew it is in its group, and the text cut off.
    let text = SMALL.replace("highdma: on\n", "tx-checksum-new: on\n");
    assert!(parse(&text).unwrap_err().why.starts_with("the features after the groups"));
}

#[test]
fn a_heading_is_no_member_of_a_group() {
    // Found by fuzzing: a line that lost its line end and gained blanks.
    let text =
        SMALL.replace("\ttx-scatter-gather: on\n", "\ttx-scatter-gather: on\n\ttx-vlan-offload: off\n");
    let error = parse(&text).unwrap_err();
    assert_eq!((error.line, error.why), (5, "a heading where a member of a group belongs"));
}

proptest! {
    #[test]
    fn what_is_rendered_is_read_back(
        sets in prop::collection::vec(feature_set(), 1..4), spaces in any::<bool>()
    ) {
        let text: Vec<String> =
            sets.iter().enumerate().map(|(number, set)| render(&format!("eth{number}"), set)).collect();
        let mut text = text.join("\n");
        if spaces {
            text = text.replace('\t', "        ");
        }
        let devices = parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read: Vec<_> = devices.iter().map(states).collect();
        prop_assert_eq!(read, sets);
    }

    #[test]
    fn never_panics_on_anything(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn never_panics_on_damaged_text(at in 0..BAD.len(), bytes in prop::collection::vec(any::<u8>(), 0..8)) {
        let mut text = BAD.as_bytes().to_vec();
        let end = (at + bytes.len()).min(text.len());
        text.splice(at..end, bytes);
        if let Err(error) = parse(&String::from_utf8_lossy(&text)) {
            prop_assert!(!error.to_string().contains(char::is_control));
        }
    }
}
