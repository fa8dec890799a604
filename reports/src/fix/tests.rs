//! Whole pages, to the letter.

use hostdiag_model::audit::Verdict;
use hostdiag_model::history::{History, HistoryEntry, What, Who};
use hostdiag_model::offload::{Intent, Problem};
use hostdiag_model::plan::{
    Action, Apart, Beyond, Change, Done, Fix, Identity, Left, Plan, Refusal, Refused, Run, Step, Undo,
    UndoResult, Undone, UndoneWish,
};
use hostdiag_model::recording::Loss;
use hostdiag_model::{Data, FeatureName, FeatureState, Host, Recording};

use super::{Options, history, plan, run, text, undo};
use crate::page::is_harmful;

mod plans;
mod runs;

const SG: &str = "tx-scatter-gather";
const CSUM: &str = "tx-checksum-ip-generic";
const ALL: Options = Options { all: true, style: crate::Style { color: false, unicode: false } };

fn identity(name: &str, ifindex: u32, kind: Option<&str>) -> Identity {
    Identity { name: name.into(), ifindex, kind: kind.map(Into::into), permanent_address: None }
}

fn change(device: (&str, u32), feature: &str, before: &str, after: &str) -> Change {
    Change {
        device: device.0.into(),
        ifindex: device.1,
        feature: feature.into(),
        before: FeatureState::parse(before).unwrap(),
        after: FeatureState::parse(after).unwrap(),
        certain: true,
        physical: false,
    }
}

fn features(names: &[&str]) -> Vec<FeatureName> {
    names.iter().map(|name| (*name).into()).collect()
}

/// The article's VLAN: both wishes off, and what they had taken down.
fn article(name: &str, ifindex: u32) -> Step {
    let vlan = (name, ifindex);
    let back = |feature: &str| change(vlan, feature, "off [requested on]", "on");
    Step {
        device: identity(name, ifindex, Some("vlan")),
        action: Action::Set { features: features(&[SG, CSUM]) },
        repairs: features(&[SG, CSUM]),
        changes: vec![
            change(vlan, SG, "off", "on"),
            change(vlan, CSUM, "off", "on"),
            back("tx-tcp-segmentation"),
            back("tx-tcp6-segmentation"),
            back("tx-tcp-ecn-segmentation"),
            back("tx-generic-segmentation"),
        ],
    }
}

fn left(device: &str, lost: &[&str], reason: Apart) -> Left {
    Left { device: device.into(), features: features(lost), reason }
}

fn recording(data: Data) -> Recording {
    Recording {
        tool: "0.1.0".into(),
        command: "offload".into(),
        host: Host { name: "web17".into(), ..Host::default() },
        started_ms: 1_787_000_000_000,
        elapsed_ms: Some(12),
        side: None,
        loss: Vec::new(),
        data,
    }
}

fn page(fix: &Fix) -> String {
    text(&recording(Data::Fix(fix.clone())), fix, Options::default())
}

#[track_caller]
fn same(text: &str, expected: &str) {
    assert_eq!(text, expected.trim_start_matches('\n'), "\n{text}");
}

fn repaired(step: &Step) -> Done {
    Done::Repaired { changes: step.changes.clone() }
}

fn run_of(id: Option<&str>, steps: Vec<Done>) -> Run {
    Run {
        id: id.map(Into::into),
        observe_ms: 5000,
        steps,
        recovered: Vec::new(),
        remaining: Vec::new(),
        problems: Vec::new(),
    }
}

/// Everything that a host or a file can name, as hostile as it gets.
#[test]
fn hostile_text_stays_on_its_line() {
    let evil = "a\n\x1b[2J\u{202e}$(reboot)'b\r";
    let mut step = article(evil, 5);
    step.repairs = features(&[evil]);
    step.action = Action::Set { features: features(&[evil]) };
    step.changes.push(change((evil, 6), evil, "on", "off"));
    step.changes.push(Change { physical: true, ..change((evil, 7), evil, "on", "off") });
    let apart = |reason| left(evil, &[evil], reason);
    let name = || evil.to_owned();
    let plan = Plan {
        netns: Some(name()),
        steps: vec![step.clone(), step.clone(), step],
        refused: vec![Refused {
            device: name(),
            features: features(&[evil]),
            reason: Refusal::LastActivePort { master: name() },
        }],
        left: vec![
            apart(Apart::Kind { kind: name() }),
            apart(Apart::Quirk { driver: name(), problem: name() }),
            left(evil, &[], Apart::LiesOn { device: name(), kind: name() }),
        ],
        beyond: vec![Beyond { device: name(), feature: evil.into(), verdict: Verdict::StaleCopy }],
    };
    let wishes = vec![UndoneWish {
        device: name(),
        was: None,
        feature: evil.into(),
        wanted: true,
        result: UndoResult::Conflict { why: name() },
    }];
    let done = vec![
        Done::RolledBack { worse: vec![name()] },
        Done::Failed { error: name() },
        Done::NotStarted { why: name() },
    ];
    let run = Run {
        recovered: vec![Undone { id: name(), wishes, recomputed: vec![name()] }],
        remaining: vec![name()],
        problems: vec![Problem { subject: name(), message: name() }],
        ..run_of(Some(evil), done)
    };
    let entry = HistoryEntry {
        time_ms: u64::MAX,
        run: name(),
        what: What::Undo,
        netns: Some(name()),
        device: name(),
        feature: Some(evil.into()),
        before: Some(name()),
        after: Some(name()),
        who: Who { uid: 0, loginuid: None, sudo_user: Some(name()), sudo_uid: None },
        command: name(),
        reason: Some(name()),
    };
    let all = History { entries: vec![entry] };
    let mut recording = recording(Data::History(all.clone()));
    recording.host.name = name();
    recording.loss.push(Loss { what: name(), count: 1 });
    let fix = Fix { plan, run: Some(run) };
    let pages = [text(&recording, &fix, ALL), history::text(&recording, &all, ALL)];
    for page in &pages {
        assert!(page.lines().all(|line| !line.contains(is_harmful)), "{page}");
        // A newline in a name would begin a line with what is behind it.
        assert!(page.lines().all(|line| !line.starts_with("[2J")), "{page}");
    }
    let quoted = r"ethtool -K 'a[2J$(reboot)'\''b' 'a[2J$(reboot)'\''b' on";
    assert_eq!(pages[0].matches(quoted).count(), 3, "{}", pages[0]);
    assert!(pages[0].contains(r"nsenter --net='/run/netns/a[2J$(reboot)'\''b' "), "{}", pages[0]);
}
