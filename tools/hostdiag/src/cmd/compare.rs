//! `hostdiag compare`: two hosts side by side, the cause on top.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use hostdiag_model::compare::{self, Group, Report};
use hostdiag_model::{Capture, Recording};
use hostdiag_report::{compare as report, html};

use super::diff::{self, Format, Shown};
use super::record::{PlanArgs, RemoteArgs};
use crate::fail::{Code, Failure, Status};
use crate::output::{self, Look};

mod sides;

/// Compare two hosts: what changed, and which difference between them causes it.
///
/// A is what is compared with, B what is compared: the good host first. Each is a host,
/// which is recorded now, all of them at the same time, or a file of `hostdiag record`.
/// Settings that differ are joined with what they are known to cause and what is in the
/// recordings; what explains most of the change in busy cores comes first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  hostdiag compare web16 root@web17 --push --output both.hd\n  hostdiag compare before.hd after.hd\n  \
    hostdiag compare --group good=a.hd,b.hd,c.hd --group bad=d.hd,e.hd\n  \
    hostdiag compare web16 web17 --work-cmd 'ssh $HOSTDIAG_HOST cat /run/app/requests'\n  \
    hostdiag compare both.hd\n\n\
    Exit status: 0 nothing that counts (with one recording a side nothing measured does, unless --strict); \
    1 a regression, or a setting that somebody set or that causes something differs; \
    2 they cannot be compared, or their work could not be counted; 5 a host failed, and what there is of the others \
    is compared."
)]
pub struct Args {
    /// A and B: [user@]host[:port] by ssh, local, or a file; or one file that a comparison
    /// was kept in.
    #[arg(value_name = "TARGET", num_args = 1..=2, required_unless_present = "groups", conflicts_with = "groups")]
    pub targets: Vec<String>,
    /// A group of hosts, given twice: A first. What all of one and none of the other have
    /// is what differs.
    #[arg(long = "group", value_name = "NAME=TARGET,...", value_parser = group)]
    pub groups: Vec<(String, Vec<String>)>,
    /// What is recorded of hosts.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Record hosts so many times: three a side tell a change from chance.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub repeat: u32,
    /// How hosts are reached.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Work done in a second on A and on B, such as requests, where the network does not
    /// tell: rates are divided by it.
    #[arg(long, value_name = "A,B", value_parser = diff::work)]
    pub work: Option<[f64; 2]>,
    /// A command that prints a counter of the work that a host has done, such as requests:
    /// run here by sh when each recording of a host begins and ends, with HOSTDIAG_HOST and
    /// HOSTDIAG_SIDE. Rates are divided by what it grew.
    #[arg(long, value_name = "CMD", conflicts_with = "work")]
    pub work_cmd: Option<String>,
    /// How it is shown and judged.
    #[command(flatten)]
    pub shown: Shown,
    /// Keep the recordings of both sides in FILE, for `hostdiag report`.
    #[arg(short, long, value_name = "FILE", value_parser = output::file_name)]
    pub output: Option<PathBuf>,
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
    let (groups, failed) = groups(args)?;
    if let Some(path) = &args.output {
        let kept = sides::joined(&groups, args.work);
        output::save(path, |out| kept.write(out))?;
    }
    let report = of(groups, args.work)?;
    let kept = || args.targets.first().filter(|_| args.targets.len() == 1).map(Path::new);
    let file = args.output.as_deref().or_else(kept);
    let Shown { format, all, strict } = args.shown;
    let text = shown(&report, format, report::Options { all, style: look.style() }, file)?;
    output::write(|out| out.write_all(text.as_bytes()))?;
    if format == Format::Text {
        report::next(&report).iter().for_each(|next| output::say(next));
    }
    Ok(failed.unwrap_or_else(|| diff::status(report.verdict, strict)))
}

fn of(groups: [Group; 2], work: Option<[f64; 2]>) -> Result<Report> {
    Ok(compare::compare(groups, work).map_err(diff::refused)?)
}

/// Whether recordings are those of a comparison.
pub(super) fn is_kept(recordings: &[Recording]) -> bool {
    let groups: BTreeSet<Option<&str>> =
        recordings.iter().map(|one| one.side.as_ref().map(|side| side.group.as_str())).collect();
    groups.len() == 2 && !groups.contains(&None)
}

/// Compares those that were kept again, as they were compared then.
pub(super) fn again(recordings: Vec<Recording>) -> Result<Report> {
    of(sides::split(Capture { recordings }), None)
}

/// `file` is where the recordings are, for the command that prints all figures.
pub(super) fn shown(
    report: &Report,
    format: Format,
    options: report::Options,
    file: Option<&Path>,
) -> Result<String> {
    Ok(match format {
        Format::Text => report::text(report, options),
        Format::Json => serde_json::to_string_pretty(report)? + "\n",
        Format::Html => html::compare::page(report, file.map(Path::to_string_lossy).as_deref()),
        Format::Svg => {
            let drawn = report.parts.iter().find_map(|part| Some((&part.comparison, part.stacks()?)));
            let (comparison, stacks) = drawn.ok_or_else(diff::not_drawn)?;
            hostdiag_report::diff::svg::svg(comparison, stacks)
        }
    })
}

/// Both sides with what was recorded of them, and the status where something of a host failed.
fn groups(args: &Args) -> Result<([Group; 2], Option<Status>)> {
    let named = |name: &str, target: &String| (name.to_owned(), vec![target.clone()]);
    let named = match (args.targets.as_slice(), args.groups.as_slice()) {
        ([a, b], _) => [named("A", a), named("B", b)],
        ([one], _) => return Ok((sides::both(one)?, None)),
        (_, [a, b]) if a.0 != b.0 => [a.clone(), b.clone()],
        (_, groups) => {
            let problem =
                format!("two groups with names of their own are compared, here are {}", groups.len());
            let hint = "hostdiag compare --group good=a.hd,b.hd --group bad=c.hd,d.hd";
            return Err(Failure::new(Code::Incompatible, problem).hint(hint).into());
        }
    };
    sides::of(args, named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_every_rule() {
        let page = include_str!("../../pages/compare.md");
        for rule in compare::rules::RULES {
            assert!(page.contains(&format!("- {}: {}", rule.id, rule.what)), "{}", rule.id);
        }
    }

    #[test]
    fn groups_have_a_name_and_targets() {
        assert_eq!(group("good=a.hd,b.hd"), Ok(("good".into(), vec!["a.hd".into(), "b.hd".into()])));
        for wrong in ["good", "=a.hd", "good=", "good=,"] {
            assert!(group(wrong).is_err(), "{wrong}");
        }
    }
}
