//! What every page must have.

use clap::Parser;
use hostdiag_model::audit::Verdict;
use hostdiag_model::diff;
use hostdiag_model::plan::{Apart, Refusal};

use super::markdown::Block;
use super::{ACCEPTED, Kind, Page};
use crate::cli::Cli;
use crate::fail::Code;

fn headings(page: Page) -> Vec<&'static str> {
    let heading = |block| if let Block::Heading(heading) = block { Some(heading) } else { None };
    page.body().into_iter().filter_map(heading).collect()
}

#[test]
fn every_code_verdict_and_topic_has_a_page() {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let topics = ["exit-status", "offload", "restart", "vlan-features", "recording", "policy", "netns"];
    let repair = ["fix", "undo", "left-alone", "boot", "watch", "emit", "rollout"];
    let tracing = ["funccount", "funclatency", "stackcount", "argcount", "timer-names", "attach"];
    let reports = ["record", "report", "diff", "flamegraph"];
    let verdicts = Verdict::ALL.iter().map(|verdict| verdict.as_str());
    let verdicts = verdicts.chain(diff::Verdict::ALL.iter().map(|verdict| verdict.as_str()));
    for name in codes
        .chain(verdicts)
        .chain([ACCEPTED])
        .chain(Refusal::ALL)
        .chain(topics)
        .chain(repair)
        .chain(tracing)
        .chain(reports)
    {
        assert!(Page::find(name).is_some(), "no page pages/{name}.md");
    }
}

#[test]
fn every_page_has_title_summary_and_sections() {
    for page in Page::all() {
        let name = page.name;
        assert_eq!(page.text.lines().next(), Some(format!("# {name}").as_str()), "{name}: title");
        let summary = page.summary();
        assert!((10..=80).contains(&summary.len()) && !summary.ends_with('.'), "{name}: summary: {summary}");
        let found = headings(page);
        let wanted: &[&str] = match page.kind() {
            Kind::Verdict | Kind::Difference => &["Meaning", "Risk", "Remedy", "See also"],
            Kind::Refusal | Kind::Error => &["Meaning", "Remedy", "See also"],
            Kind::Topic => &["Meaning", "See also"],
        };
        let known = ["Meaning", "Risk", "Remedy", "Undo", "Example", "See also"];
        assert!(wanted.iter().all(|heading| found.contains(heading)), "{name}: {found:?}");
        assert!(found.iter().all(|heading| known.contains(heading)), "{name}: {found:?}");
        assert_eq!(found.last(), Some(&"See also"), "{name}");
    }
}

#[test]
fn no_line_is_long_and_marks_are_paired() {
    for page in Page::all() {
        for line in page.text.lines() {
            assert!(line.chars().count() <= 100, "{}: {line}", page.name);
            assert!(line.is_ascii(), "{}: {line}", page.name);
        }
        for block in page.body() {
            if let Block::Paragraph(lines) | Block::Item(lines) = block {
                assert_eq!(lines.join(" ").matches('`').count() % 2, 0, "{}: {lines:?}", page.name);
            }
        }
    }
}

#[test]
fn what_is_referred_to_exists() {
    for page in Page::all() {
        let body = page.body();
        let Some(Block::Paragraph(lines)) = body.last() else {
            panic!("{}: See also is a paragraph", page.name)
        };
        for name in lines.join(" ").split(", ").filter(|name| !name.contains('(')) {
            assert!(Page::find(name).is_some() && name != page.name, "{}: see also {name}", page.name);
        }
    }
}

#[test]
fn every_command_line_of_ours_parses() {
    let mut count = 0;
    for page in Page::all() {
        for line in page
            .body()
            .into_iter()
            .filter_map(|block| if let Block::Code(c) = block { Some(c) } else { None })
        {
            for line in line.iter().filter_map(|line| line.find("hostdiag ").map(|at| &line[at..])) {
                // What the shell takes: redirections.
                let line = line.split(" > ").next().unwrap_or(line);
                let parsed = Cli::try_parse_from(line.split_whitespace());
                let asked = |error: &clap::Error| !error.use_stderr();
                assert!(parsed.as_ref().map_or_else(asked, |_| true), "{}: {line}: {parsed:?}", page.name);
                count += 1;
            }
        }
    }
    assert!(count > 20, "only {count} lines were found");
}

#[test]
fn every_reason_to_leave_a_device_alone_is_explained() {
    let name = String::new;
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
        Apart::AskedFor { lines: Vec::new() },
        Apart::Held,
        Apart::NotUnattended,
        Apart::Policy,
        Apart::NotOffered,
    ];
    let page = Page::find("left-alone").unwrap();
    for reason in reasons {
        let value = serde_json::to_value(&reason).unwrap();
        let item = format!("\n- `{}`: ", value["is"].as_str().unwrap());
        assert!(page.text.contains(&item), "{item}");
    }
}
