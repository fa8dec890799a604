//! `hostdiag compare`: two hosts side by side, the cause on top.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::compare::{self, Group, Member, Report};
use hostdiag_model::recording::Side;
use hostdiag_model::{Capture, Recording};
use hostdiag_report::compare as report;

use super::diff;
use crate::fail::{Code, Failure, Status};
use crate::input;
use crate::output::{self, Look};

/// Compare two hosts: what changed, and which difference between them causes it.
///
/// A is what is compared with, B what is compared: the good host first. Both are files of
/// `hostdiag record`, or several recordings one after another in a file. Settings that
/// differ are joined with what they are known to cause and what is in the recordings;
/// what explains most of the change in busy cores comes first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hostdiag compare before.hd after.hd\n  \
    hostdiag compare --group good=a.hd,b.hd,c.hd --group bad=d.hd,e.hd\n  \
    hostdiag compare both.hd\n\n\
    Exit status: 0 nothing that counts (with one recording a side nothing measured does, unless --strict); \
    1 a regression, or a setting that somebody set or that causes something differs; \
    2 they cannot be compared.")]
pub struct Args {
    /// A and B; or one file that a comparison was kept in.
    #[arg(value_name = "TARGET", num_args = 1..=2, required_unless_present = "groups", conflicts_with = "groups")]
    pub targets: Vec<String>,
    /// A group of hosts, given twice: A first. What all of one and none of the other have
    /// is what differs.
    #[arg(long = "group", value_name = "NAME=TARGET,...", value_parser = group)]
    pub groups: Vec<(String, Vec<String>)>,
    /// Work done in a second on A and on B, such as requests, where the network does not
    /// tell: rates are divided by it.
    #[arg(long, value_name = "A,B", value_parser = diff::work)]
    pub work: Option<[f64; 2]>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Everything: every setting and counter that differs.
    #[arg(long)]
    pub all: bool,
    /// What one recording a side indicates ends with status 1 too.
    #[arg(long)]
    pub strict: bool,
    /// Keep the recordings of both sides in FILE, for `hostdiag report`.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document, schema hostdiag.compare.
    Json,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// A file of recordings.
    File(PathBuf),
    /// A host, as the user named it.
    Host(String),
}

impl Target {
    /// A file where there is one, or where it looks like one.
    fn of(text: &str) -> Self {
        let path = Path::new(text);
        let file = path.exists() || text.contains('/') || path.extension().is_some_and(|end| end == "hd");
        if file { Self::File(path.to_owned()) } else { Self::Host(text.to_owned()) }
    }
}

/// `good=a.hd,b.hd`.
fn group(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, targets) = text.split_once('=').ok_or("NAME=TARGET,TARGET,...")?;
    let targets: Vec<String> = targets.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect();
    match name.is_empty() || targets.is_empty() {
        true => Err("NAME=TARGET,TARGET,... with at least one of them".into()),
        false => Ok((name.to_owned(), targets)),
    }
}

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let groups = groups(args)?;
    if let Some(path) = &args.output {
        let kept = kept(&groups);
        output::save(path, |out| kept.write(out))?;
    }
    let report = of(groups, args.work)?;
    show(&report, args.format, report::Options { all: args.all, style: look.style() })?;
    Ok(diff::status(report.verdict, args.strict))
}

/// Shows a comparison that was kept in a file; `None` where it is none.
pub(super) fn of_kept(capture: Capture) -> Option<Result<Report>> {
    split(capture).map(|groups| of(groups, None))
}

fn of(groups: [Group; 2], work: Option<[f64; 2]>) -> Result<Report> {
    Ok(compare::compare(groups, work).map_err(diff::refused)?)
}

pub(super) fn show(report: &Report, format: Format, options: report::Options) -> Result<()> {
    let text = match format {
        Format::Text => report::text(report, options),
        Format::Json => serde_json::to_string_pretty(report)? + "\n",
    };
    output::write(|out| out.write_all(text.as_bytes()))?;
    if format == Format::Text {
        report::next(report).iter().for_each(|next| output::say(next));
    }
    Ok(())
}

/// Both sides with what was recorded of them.
fn groups(args: &Args) -> Result<[Group; 2]> {
    let named = |name: &str, target: &String| (name.to_owned(), vec![target.clone()]);
    let sides = match (args.targets.as_slice(), args.groups.as_slice()) {
        ([a, b], _) => [named("A", a), named("B", b)],
        ([one], _) => return both(one),
        (_, [a, b]) => [a.clone(), b.clone()],
        (_, groups) => {
            let problem = format!("two groups are compared, here are {}", groups.len());
            let hint = "hostdiag compare --group good=a.hd,b.hd --group bad=c.hd,d.hd";
            return Err(Failure::new(Code::Incompatible, problem).hint(hint).into());
        }
    };
    let [a, b] = sides.map(|(name, targets)| {
        let members = targets.iter().map(|target| member(target)).collect::<Result<Vec<_>>>();
        members.map(|members| Group { name, members })
    });
    Ok([a?, b?])
}

/// A file that has both sides.
fn both(text: &str) -> Result<[Group; 2]> {
    let Target::File(path) = Target::of(text) else {
        let problem = format!("{text} alone: a comparison needs two of them");
        return Err(Failure::new(Code::Incompatible, problem).hint("hostdiag compare A B").into());
    };
    split(input::capture(&path)?).ok_or_else(|| {
        let problem = format!("{text} has recordings of one side alone");
        Failure::new(Code::Incompatible, problem).hint("hostdiag compare A B").into()
    })
}

fn member(text: &str) -> Result<Member> {
    match Target::of(text) {
        Target::File(path) => {
            Ok(Member { target: text.to_owned(), remote: None, capture: input::capture(&path)? })
        }
        Target::Host(name) => {
            let problem = format!("there is no file {name:?}, and hosts are not reached yet");
            let hint = "record on each host, and compare the files: hostdiag compare A.hd B.hd";
            Err(Failure::new(Code::Incompatible, problem).hint(hint).into())
        }
    }
}

/// The recordings of both sides, each with the side that it is of.
fn kept(groups: &[Group; 2]) -> Capture {
    let mut all = Vec::new();
    for group in groups {
        for member in &group.members {
            all.extend(member.capture.recordings.iter().map(|one| Recording {
                side: Some(Side {
                    group: group.name.clone(),
                    target: member.target.clone(),
                    clock_offset_us: one.side.as_ref().and_then(|side| side.clock_offset_us),
                }),
                ..one.clone()
            }));
        }
    }
    Capture { recordings: all }
}

/// Recordings by the side and host they are of, where those are two sides; the side
/// that comes first is A.
fn split(capture: Capture) -> Option<[Group; 2]> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for recording in capture.recordings {
        let side = recording.side.clone()?;
        let (at, member) = *places.entry((side.group.clone(), side.target.clone())).or_insert_with(|| {
            let at = groups.iter().position(|group| group.name == side.group).unwrap_or(groups.len());
            if at == groups.len() {
                groups.push(Group { name: side.group.clone(), members: Vec::new() });
            }
            let remote = match Target::of(&side.target) {
                Target::Host(name) if name != "local" => Some(name),
                _ => None,
            };
            groups[at].members.push(Member { target: side.target, remote, capture: Capture::default() });
            (at, groups[at].members.len() - 1)
        });
        groups[at].members[member].capture.recordings.push(recording);
    }
    groups.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_file_or_a_host() {
        assert_eq!(Target::of("./web17"), Target::File("./web17".into()));
        assert_eq!(Target::of("missing.hd"), Target::File("missing.hd".into()));
        assert_eq!(Target::of("root@web17:2222"), Target::Host("root@web17:2222".into()));
    }

    #[test]
    fn groups_have_a_name_and_targets() {
        assert_eq!(group("good=a.hd,b.hd"), Ok(("good".into(), vec!["a.hd".into(), "b.hd".into()])));
        for wrong in ["good", "=a.hd", "good=", "good=,"] {
            assert!(group(wrong).is_err(), "{wrong}");
        }
    }
}
