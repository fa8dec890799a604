//! Runs `hostdiag offload --fix` as a user does, and holds its plan against what
//! happened to every device of the namespace.
use std::process::Output;

use hostdiag::offload::fix::compare;
use hostdiag::offload::gather;
use hostdiag_model::plan::{Change, Done, Fix, Plan, Run, Undone};
use hostdiag_model::recording::Data;
use hostdiag_model::{Namespace, Recording};

use super::audit::hostdiag;

/// What a repair planned and did.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) fix: Fix,
    pub(crate) status: i32,
    /// stderr.
    pub(crate) said: String,
    /// Every bit of every device of the namespace that changed meanwhile.
    pub(crate) happened: Vec<Change>,
}

/// The devices of the current namespace as they are.
#[track_caller]
pub(crate) fn snapshot() -> Namespace {
    gather::namespace(None).unwrap().namespace
}

/// `hostdiag offload --fix` with a short watch. Whatever it says it repaired
/// must have happened as planned, and nothing else; what it did not repair must
/// be as it was.
#[track_caller]
pub(crate) fn fix(args: &[&str]) -> Fixed {
    let fixed = run(&[&["--fix", "--observe", "300ms"], args].concat());
    for done in fixed.run().steps.iter() {
        assert!(matches!(done, Done::Repaired { .. }), "{done:#?}; it said: {}", fixed.said);
    }
    fixed.as_planned();
    fixed
}

/// `--fix` with exactly these arguments, however it ends.
#[track_caller]
pub(crate) fn run(args: &[&str]) -> Fixed {
    let before = snapshot();
    let output = hostdiag().args(["offload", "--format", "json"]).args(args).output().unwrap();
    read(&output, &before)
}

/// What a run said, and what changed since `before`.
#[track_caller]
pub(crate) fn read(output: &Output, before: &Namespace) -> Fixed {
    let happened = compare::changes(before, &snapshot());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let recording = match Recording::read(&mut &output.stdout[..]) {
        Ok(recording) => recording,
        Err(error) => panic!("no recording: {error}; hostdiag said: {said}"),
    };
    let Data::Fix(fix) = recording.data else { panic!("another kind of recording") };
    Fixed { fix, status: output.status.code().unwrap_or(-1), said, happened }
}

/// The plan alone. A dry run changes nothing.
#[track_caller]
pub(crate) fn plan(args: &[&str]) -> (Plan, i32) {
    let fixed = run(&[&["--fix", "--dry-run"], args].concat());
    assert!(fixed.fix.run.is_none());
    assert_eq!(fixed.happened, []);
    (fixed.fix.plan, fixed.status)
}

impl Fixed {
    #[track_caller]
    pub(crate) fn run(&self) -> &Run {
        match &self.fix.run {
            Some(run) => run,
            None => panic!("a dry run; it said: {}", self.said),
        }
    }

    /// Happened is what was planned: what is certain all of it, what is not
    /// perhaps, and nothing else.
    #[track_caller]
    pub(crate) fn as_planned(&self) {
        let key = |change: &Change| (change.ifindex, change.feature.to_string(), change.after);
        let certain: Vec<_> = self.net().into_iter().filter(|change| change.certain).collect();
        let happened: Vec<_> = self.happened.iter().map(key).collect();
        for change in &certain {
            assert!(happened.contains(&key(change)), "planned, did not happen: {change:#?}\n{:#?}", self.fix);
        }
        let planned: Vec<_> = self.net().iter().map(key).collect();
        for change in &self.happened {
            assert!(planned.contains(&key(change)), "happened, not planned: {change:#?}\n{:#?}", self.fix);
        }
    }

    /// The last planned state of each bit.
    fn net(&self) -> Vec<Change> {
        let mut all: Vec<Change> = Vec::new();
        for change in self.fix.plan.changes() {
            all.retain(|other| (other.ifindex, &other.feature) != (change.ifindex, &change.feature));
            all.push(change.clone());
        }
        all
    }

    /// `device feature` of each repair.
    pub(crate) fn repaired(&self) -> Vec<String> {
        repairs(&self.fix.plan)
    }
}

/// `device feature` of each repair of a plan.
pub(crate) fn repairs(plan: &Plan) -> Vec<String> {
    let of = |step: &hostdiag_model::plan::Step| {
        step.repairs.iter().map(|feature| format!("{} {feature}", step.device.name)).collect::<Vec<_>>()
    };
    plan.steps.iter().flat_map(of).collect()
}

/// `hostdiag offload --undo`: what it says it did, and its exit status.
#[track_caller]
pub(crate) fn undo(args: &[&str]) -> (Vec<Undone>, i32) {
    let output = hostdiag().args(["offload", "--format", "json", "--undo"]).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let Ok(recording) = Recording::read(&mut &output.stdout[..]) else { panic!("hostdiag said: {said}") };
    let Data::Undo(undo) = recording.data else { panic!("another kind of recording") };
    (undo.runs, output.status.code().unwrap_or(-1))
}
