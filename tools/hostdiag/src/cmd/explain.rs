//! `hostdiag explain`: what a verdict, an error code or a topic means.

use std::fmt::Write as _;

use anyhow::Result;

use crate::fail::{Code, Failure, Status, did_you_mean};
use crate::output;
use crate::pages::{Kind, Page, markdown};

/// Explain a verdict, an error code or a topic: meaning, risk, remedy, undo.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A verdict, an error code or a topic; without it, all of them.
    #[arg(value_name = "TOPIC")]
    pub topic: Option<String>,
}

/// Prints a page, or the list of pages.
///
/// # Errors
/// `no-such-topic`, with the nearest names.
pub fn run(args: &Args) -> Result<Status> {
    let text = match &args.topic {
        Some(name) => explain(find(name)?),
        None => list(),
    };
    output::write(|out| out.write_all(text.as_bytes()))?;
    Ok(Status::Fine)
}

/// The page of a name, in any case.
pub(super) fn find(name: &str) -> Result<Page, Failure> {
    let lower = name.to_lowercase();
    Page::find(&lower).ok_or_else(|| {
        let failure = Failure::new(Code::NoSuchTopic, format!("no page is named {name:?}"));
        let near = did_you_mean(&lower, Page::all().map(|page| page.name));
        failure.hint(near.unwrap_or_else(|| "hostdiag explain lists them".into()))
    })
}

fn explain(page: Page) -> String {
    format!("{}: {}\n{}", page.name, page.summary(), markdown::plain(&page.body()))
}

fn list() -> String {
    let width = Page::all().map(|page| page.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    let kinds = [
        (Kind::Verdict, "Verdicts of hostdiag offload"),
        (Kind::Difference, "Verdicts of hostdiag diff"),
        (Kind::Refusal, "Why hostdiag offload --fix does not repair"),
        (Kind::Error, "Errors"),
        (Kind::Topic, "Topics"),
    ];
    for (kind, title) in kinds {
        _ = writeln!(out, "{}{title}", if out.is_empty() { "" } else { "\n" });
        for page in Page::all().filter(|page| page.kind() == kind) {
            _ = writeln!(out, "  {:width$}  {}", page.name, page.summary());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_every_page_once() {
        let list = list();
        assert_eq!(list.lines().filter(|line| line.starts_with("  ")).count(), Page::all().count());
    }

    #[test]
    fn a_misspelt_name_gets_the_nearest() {
        assert_eq!(find("Lost-Here").unwrap().name, "lost-here");
        let failure = find("lost-hree").unwrap_err();
        assert_eq!(failure.code, Code::NoSuchTopic);
        assert!(failure.hint.unwrap().contains("lost-here"));
    }
}
