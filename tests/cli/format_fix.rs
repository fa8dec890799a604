//! The lines of repairs, undos and their history, as strictly as the others.
#![allow(dead_code, reason = "fields are there to be read, not used")]
use hostdiag_model::audit::Verdict;
use hostdiag_model::history::{self, History, What, Who};
use hostdiag_model::plan::{self, Fix, Undo};
use hostdiag_model::{Data, FeatureState, Recording, offload};
use serde::Deserialize;

use crate::format::{Intent, Line, Problem, STATES};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    netns: Option<String>,
    steps: Vec<Step>,
    refused: Option<Vec<Refused>>,
    left: Option<Vec<Left>>,
    beyond: Option<Vec<Beyond>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    device: Identity,
    action: Action,
    repairs: Vec<String>,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    name: String,
    ifindex: u32,
    kind: Option<String>,
    permanent_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Action {
    Set { features: Vec<String> },
    Recompute {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    device: String,
    ifindex: u32,
    feature: String,
    before: String,
    after: String,
    certain: bool,
    physical: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    device: String,
    features: Vec<String>,
    reason: Refusal,
}

#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
enum Refusal {
    ChangesPhysical { changes: Vec<Change> },
    SwitchesOn { changes: Vec<Change> },
    NeedsDeviceLine {},
    LastActivePort { master: String },
    LacpOutOfSync { master: String },
    HasVirtualFunctions { count: u32 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Left {
    device: String,
    features: Option<Vec<String>>,
    reason: Apart,
}

#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
enum Apart {
    Physical {},
    Kind { kind: String },
    LiesOn { device: String, kind: String },
    BelowUnknown {},
    CarriesGuests { bridge: String },
    OpenVswitch {},
    VirtualFunction { device: String },
    Representor { device: String },
    Xdp {},
    AfXdp {},
    Container {},
    Quirk { driver: String, problem: String },
    AskedFor { lines: Vec<Intent> },
    Policy {},
    NotOffered {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beyond {
    device: String,
    feature: String,
    verdict: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    id: Option<String>,
    observe_ms: u64,
    steps: Vec<Done>,
    recovered: Option<Vec<Undone>>,
    remaining: Option<Vec<String>>,
    problems: Option<Vec<Problem>>,
}

#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
enum Done {
    Repaired { changes: Vec<Change> },
    NotFollowed { changes: Vec<Change>, missing: Vec<String> },
    RolledBack { worse: Vec<String> },
    Interrupted {},
    Removed {},
    Failed { error: String },
    NotStarted { why: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undone {
    id: String,
    wishes: Vec<UndoneWish>,
    recomputed: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoneWish {
    device: String,
    was: Option<String>,
    feature: String,
    wanted: bool,
    result: UndoResult,
}

#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
enum UndoResult {
    Restored {},
    AlreadySo {},
    Conflict { why: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryEntry {
    time_ms: u64,
    run: String,
    what: String,
    netns: Option<String>,
    device: String,
    feature: Option<String>,
    before: Option<String>,
    after: Option<String>,
    who: WhoWas,
    command: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhoWas {
    uid: u32,
    loginuid: Option<u32>,
    sudo_user: Option<String>,
    sudo_uid: Option<u32>,
}

fn name() -> String {
    "vlan10".to_owned()
}

fn change() -> plan::Change {
    plan::Change {
        device: name(),
        ifindex: 5,
        feature: "tx-scatter-gather".into(),
        before: FeatureState::OffRequestedOn,
        after: FeatureState::On,
        certain: true,
        physical: true,
    }
}

fn a_plan() -> plan::Plan {
    use plan::{Apart, Refusal};
    let step = |action| plan::Step {
        device: plan::Identity { name: name(), ifindex: 5, kind: None, permanent_address: Some(name()) },
        action,
        repairs: vec!["tx-scatter-gather".into()],
        changes: vec![change()],
    };
    let line = offload::Intent {
        device: name(),
        features: Vec::new(),
        on: false,
        file: name(),
        line: 1,
        text: name(),
        manager: name(),
    };
    let refusals = [
        Refusal::ChangesPhysical { changes: vec![change()] },
        Refusal::SwitchesOn { changes: vec![change()] },
        Refusal::NeedsDeviceLine,
        Refusal::LastActivePort { master: name() },
        Refusal::LacpOutOfSync { master: name() },
        Refusal::HasVirtualFunctions { count: 1 },
    ];
    let reasons = [
        Apart::Physical,
        Apart::Kind { kind: name() },
        Apart::LiesOn { device: name(), kind: name() },
        Apart::BelowUnknown,
        Apart::CarriesGuests { bridge: name() },
        Apart::OpenVswitch,
        Apart::VirtualFunction { device: name() },
        Apart::Representor { device: name() },
        Apart::Xdp,
        Apart::AfXdp,
        Apart::Container,
        Apart::Quirk { driver: name(), problem: name() },
        Apart::AskedFor { lines: vec![line] },
        Apart::Policy,
        Apart::NotOffered,
    ];
    let refused = |reason| plan::Refused { device: name(), features: vec!["rx-lro".into()], reason };
    let left = |reason| plan::Left { device: name(), features: vec!["rx-lro".into()], reason };
    plan::Plan {
        netns: Some(name()),
        steps: vec![
            step(plan::Action::Recompute),
            step(plan::Action::Set { features: vec!["rx-gro".into()] }),
        ],
        refused: refusals.map(refused).into(),
        left: reasons.map(left).into(),
        beyond: vec![plan::Beyond { device: name(), feature: "rx-gro".into(), verdict: Verdict::StaleCopy }],
    }
}

fn undone() -> plan::Undone {
    use plan::UndoResult;
    let wish = |result| plan::UndoneWish {
        device: name(),
        was: Some(name()),
        feature: "rx-gro".into(),
        wanted: false,
        result,
    };
    let results = [UndoResult::Restored, UndoResult::AlreadySo, UndoResult::Conflict { why: name() }];
    plan::Undone { id: name(), wishes: results.map(wish).into(), recomputed: vec![name()] }
}

fn a_run() -> plan::Run {
    use plan::Done;
    let steps = vec![
        Done::Repaired { changes: vec![change()] },
        Done::NotFollowed { changes: vec![change()], missing: vec!["rx-gro".into()] },
        Done::RolledBack { worse: vec![name()] },
        Done::Interrupted,
        Done::Removed,
        Done::Failed { error: name() },
        Done::NotStarted { why: name() },
    ];
    plan::Run {
        id: Some("7".to_owned()),
        observe_ms: 5000,
        steps,
        recovered: vec![undone()],
        remaining: vec![name()],
        problems: vec![problem()],
    }
}

fn problem() -> offload::Problem {
    offload::Problem { subject: name(), message: name() }
}

fn a_history() -> History {
    let entry = |what| history::HistoryEntry {
        time_ms: 1,
        run: name(),
        what,
        netns: Some(name()),
        device: name(),
        feature: Some("rx-gro".into()),
        before: Some("off".to_owned()),
        after: Some("on".to_owned()),
        who: Who { uid: 0, loginuid: Some(1000), sudo_user: Some(name()), sudo_uid: Some(1000) },
        command: name(),
        reason: Some(name()),
    };
    History { entries: [What::Set, What::Recompute, What::Undo, What::Rollback].map(entry).into() }
}

/// The second line of a recording of this.
fn line(data: Data) -> Line {
    let recording = Recording {
        tool: "0".to_owned(),
        command: "offload".to_owned(),
        host: hostdiag_model::Host::default(),
        started_ms: 0,
        elapsed_ms: Some(0),
        side: None,
        loss: Vec::new(),
        data,
    };
    let mut bytes = Vec::new();
    recording.write(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let line = text.lines().nth(1).unwrap();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn repairs_are_as_documented() {
    let Line::Fix { changed, plan, run } = line(Data::Fix(Fix { plan: a_plan(), run: Some(a_run()) })) else {
        panic!("another line")
    };
    assert!(changed);
    let states = plan.steps.iter().flat_map(|step| &step.changes);
    for state in states.flat_map(|change| [&change.before, &change.after]) {
        assert!(STATES.contains(&state.as_str()), "{state}");
    }
    assert_eq!(run.unwrap().steps.len(), 7);
    let Line::Fix { changed, run, .. } = line(Data::Fix(Fix { plan: a_plan(), run: None })) else {
        panic!("another line")
    };
    assert!(!changed && run.is_none());
    let undo = Undo { runs: vec![undone()], problems: vec![problem()] };
    let Line::Undo { changed, .. } = line(Data::Undo(undo)) else { panic!("another line") };
    assert!(changed);
    let Line::History { entries } = line(Data::History(a_history())) else { panic!("another line") };
    let words: Vec<&str> = entries.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(words, ["set", "recompute", "undo", "rollback"]);
}
