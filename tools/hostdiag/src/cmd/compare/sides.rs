//! Both sides: from files, or from hosts that are recorded now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use hostdiag_model::compare::{Group, Member};
use hostdiag_model::recording::{Side, WorkDone};
use hostdiag_model::{Capture, Recording};

use super::super::record::begins;
use super::Args;
use crate::fail::{Code, Failure, Status};
use crate::offload::from;
use crate::output;
use crate::remote::target::Place;
use crate::remote::{self, How, Outcome};
use crate::stop::Stop;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// A file of recordings.
    File(PathBuf),
    /// A host, as the user named it; checked before anything is started with it.
    Host(remote::Target),
}

impl Target {
    /// A file where there is one, or where it looks like one.
    fn of(group: &str, text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        let is_file = path.exists() || text.starts_with(['.', '/']) || text.ends_with(".hd") || text == "-";
        if is_file {
            Ok(Self::File(path.to_owned()))
        } else {
            remote::Target::parse(group, text).map(Self::Host)
        }
    }
}

/// Groups by their names and targets, with what was recorded of each; and the status where a
/// host failed. What there is of the others is compared.
pub(super) fn of(args: &Args, named: [(String, Vec<String>); 2]) -> Result<([Group; 2], Option<Status>)> {
    let mut groups: [Group; 2] = Default::default();
    let mut hosts = Vec::new();
    for (group, (name, targets)) in groups.iter_mut().zip(named) {
        for text in targets {
            match Target::of(&name, &text)? {
                Target::File(path) => {
                    let capture = Capture { recordings: from::any_recordings(&path)? };
                    group.members.push(Member { target: text, remote: None, capture });
                }
                Target::Host(target) => hosts.push(target),
            }
        }
        group.name = name;
    }
    let failed = record(args, hosts, &mut groups)?;
    Ok((groups, failed))
}

/// Records hosts, as often as was asked for.
fn record(args: &Args, hosts: Vec<remote::Target>, groups: &mut [Group; 2]) -> Result<Option<Status>> {
    if let Some(command) = args.work_cmd.as_deref() {
        if groups.iter().any(|group| !group.members.is_empty()) || hosts.is_empty() {
            let problem =
                "--work-cmd counts what hosts do while they are recorded; files were recorded before";
            return Err(Failure::new(Code::Incompatible, problem).hint("--work A,B says the work").into());
        }
        remote::work::check(command, &hosts)?;
    }
    if hosts.is_empty() {
        return Ok(None);
    }
    let (stop, plan) = (Stop::new()?, args.plan.plan());
    let how = How { plan: &plan, options: args.remote.options(), work: args.work_cmd.as_deref() };
    output::say(&format!(
        "read only, {} x {} s on {} hosts at once, probes at most {} % of CPU, stops on Ctrl-C",
        args.repeat,
        plan.duration.as_secs_f64(),
        hosts.len(),
        plan.max_overhead
    ));
    let mut failed = None;
    for _ in 0..args.repeat {
        if stop.requested() {
            break;
        }
        for outcome in remote::record_all(hosts.clone(), how, &stop, &|order| begins(order)) {
            let failure = add(outcome, groups);
            failed = failed.or(failure);
        }
    }
    let empty = groups.iter().any(|group| group.members.is_empty());
    match failed {
        Some(failure) if empty => Err(failure.into()),
        failed => Ok(failed.map(|failure| match failure.code {
            Code::WorkFailed => Status::Error,
            _ => Status::Remote,
        })),
    }
}

/// Adds what was recorded of a host to what there is of it; the first thing that failed.
fn add(outcome: Outcome, groups: &mut [Group; 2]) -> Option<Failure> {
    let Outcome { target, capture, failures } = outcome;
    for (tool, failure) in &failures {
        let tool = tool.map(|tool| format!("{} ", tool.as_str())).unwrap_or_default();
        output::warn(&format!("{}: {tool}{failure} [{}]", target.name, failure.code.as_str()));
    }
    let group = groups.iter_mut().find(|group| group.name == target.group);
    if let Some(group) = group.filter(|_| !capture.recordings.is_empty()) {
        match group.members.iter_mut().find(|member| member.target == target.name) {
            Some(member) => member.capture.recordings.extend(capture.recordings),
            None => {
                let remote = (target.place != Place::Local).then(|| target.name.clone());
                group.members.push(Member { target: target.name, remote, capture });
            }
        }
    }
    failures.into_iter().next().map(|(_, failure)| failure)
}

/// A file that has both sides.
pub(super) fn both(text: &str) -> Result<[Group; 2]> {
    let Target::File(path) = Target::of("A", text)? else {
        let problem = format!("{text} alone: a comparison needs two of them");
        return Err(Failure::new(Code::Incompatible, problem).hint("hostdiag compare A B").into());
    };
    let recordings = from::any_recordings(&path)?;
    if !super::is_kept(&recordings) {
        let problem = format!("{text} has recordings of one side alone");
        return Err(Failure::new(Code::Incompatible, problem).hint("hostdiag compare A B").into());
    }
    Ok(split(Capture { recordings }))
}

/// The recordings of both sides, each with the side that it is of, and with the work that
/// the user said it does in a second.
pub(super) fn joined(groups: &[Group; 2], work: Option<[f64; 2]>) -> Capture {
    let mut all = Vec::new();
    let work = [0, 1].map(|side| work.map(|work| said(work[side])));
    for (group, work) in groups.iter().zip(work) {
        for member in &group.members {
            all.extend(member.capture.recordings.iter().map(|one| {
                let known = one.side.clone().unwrap_or_default();
                let side = Side {
                    group: group.name.clone(),
                    target: member.target.clone(),
                    work: work.or(known.work),
                    ..known
                };
                Recording { side: Some(side), ..one.clone() }
            }));
        }
    }
    Capture { recordings: all }
}

/// So much in a second, over a time that keeps its digits.
fn said(work: f64) -> WorkDone {
    WorkDone { thousandths: (work * 1e6).round() as u64, over_us: 1_000_000_000 }
}

/// Recordings of two sides by the side and host they are of; the side that comes first
/// is A.
pub(super) fn split(capture: Capture) -> [Group; 2] {
    let mut names = capture.recordings.iter().filter_map(|one| Some(one.side.as_ref()?.group.clone()));
    let a = names.next().unwrap_or_default();
    let b = names.find(|name| *name != a).unwrap_or_default();
    let mut groups = [a, b].map(|name| Group { name, members: Vec::new() });
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for recording in capture.recordings {
        let Some(side) = recording.side.clone() else { continue };
        let Some(group) = groups.iter_mut().find(|group| group.name == side.group) else { continue };
        let members = &mut group.members;
        let at = *places.entry((side.group, side.target.clone())).or_insert_with(|| {
            let remote = match Target::of(&group.name, &side.target) {
                Ok(Target::Host(host)) if host.place != Place::Local => Some(side.target.clone()),
                _ => None,
            };
            members.push(Member { target: side.target, remote, capture: Capture::default() });
            members.len() - 1
        });
        members[at].capture.recordings.push(recording);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_file_or_a_host() {
        let of = |text| Target::of("A", text);
        assert_eq!(of("./web17").unwrap(), Target::File("./web17".into()));
        assert_eq!(of("missing.hd").unwrap(), Target::File("missing.hd".into()));
        assert!(matches!(of("root@web17:2222"), Ok(Target::Host(_))));
        for hostile in ["-oProxyCommand=touch /tmp/x", "a b", "a;b", "a\nb"] {
            assert_eq!(of(hostile).unwrap_err().code, Code::BadTarget, "{hostile}");
        }
    }
}
