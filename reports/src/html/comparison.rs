//! Two sides on one page: the verdict, what differs, the largest first, and all that it
//! rests on.

use hostdiag_model::diff::{Changes, Comparison, Verdict};
use maud::{Markup, html};

use super::cell::{Cell, chip};
use super::{Page, Place, Section, environment, method};
use crate::diff::latency::Of;
use crate::diff::{because, doubt_words};
use crate::markup::{LONGEST, bounded};
use crate::offload::words::shell;

mod counts;
mod latency;
mod offload;
mod stacks;
mod values;

/// As many differences are told in words.
const TOLD: usize = 10;

/// A comparison as a page.
pub fn page(comparison: &Comparison) -> String {
    let files = |files: &[String]| match files {
        [] => "nothing".to_owned(),
        [one] => file_name(one).to_owned(),
        [first, rest @ ..] => format!("{} and {} more", file_name(first), rest.len()),
    };
    let title = format!("{} compared with {}", files(&comparison.b.files), files(&comparison.a.files));
    Page { title, sections: sections(comparison) }.document()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Its sections.
pub fn sections(comparison: &Comparison) -> Vec<Section> {
    let mut sections =
        vec![verdict(comparison), environment::of_both(comparison), how(comparison), raw(comparison)];
    if !comparison.changes.is_empty() {
        sections.extend(match &comparison.changes {
            Changes::Counts(counts) => counts::sections(counts),
            Changes::Latency(latency) => latency::sections(latency, Of::Durations),
            Changes::Distribution(latency) => latency::sections(latency, Of::Values),
            Changes::Values(all) => values::sections(all),
            Changes::Stacks(all) => stacks::sections(comparison, all),
            Changes::Offload(features) => offload::sections(features),
        });
    }
    sections
}

fn verdict(comparison: &Comparison) -> Section {
    let verdict = comparison.verdict;
    let doubts: Vec<String> = comparison.doubts.iter().map(doubt_words).collect();
    let body = html! {
        p.lead { (chip(verdict.into(), verdict.as_str())) " " (because(comparison)) }
        (method::list(&doubts))
    };
    Section::new(Place::Verdict, "Result", body)
}

/// Whether something differs, as far as two recordings can tell.
fn stands(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Same | Verdict::Inconclusive)
}

/// What differs, in sentences with their verdict.
fn differs(told: impl IntoIterator<Item = (Cell, String)>) -> Option<Section> {
    let told: Vec<(Cell, String)> = told.into_iter().take(TOLD).collect();
    let body = html! {
        ol.differs { @for (verdict, sentence) in &told { li { (verdict) " " (bounded(sentence, 4 * LONGEST)) } } }
    };
    (!told.is_empty()).then(|| Section::new(Place::Differs, "What differs", body))
}

/// How many names only match because of what they are compared by.
fn renamed(number: usize) -> Markup {
    html! { @if number > 0 { p { (crate::diff::renamed_words(number)) } } }
}

fn how(comparison: &Comparison) -> Section {
    let explained = html! {
        p { "Verdicts are explained by " code { "hostdiag explain " (comparison.verdict.as_str()) } "." }
    };
    if let Changes::Offload(_) = comparison.changes {
        let body = html! {
            p { "Each device is compared with the one that has its place on the other host, each feature by its \
                 name. A feature that works on one side alone differs; one that a kernel does not know is not off." }
            (explained)
        };
        return Section::new(Place::Method, "Method and trust", body);
    }
    let several = comparison.a.files.len() > 1 && comparison.b.files.len() > 1;
    let body = html! {
        p {
            "A is what is compared with, B what is compared: more on B is a regression. A difference counts when it \
             is large enough to matter and more than chance"
            @if several {
                ", by how the recordings of a side differ among themselves."
            } @else {
                ". One recording a side shows a difference of these two runs, not of the hosts: it indicates."
            }
        }
        p { "More than 5 % of the events of a side lost, and nothing follows. Here "
            (comparison.a.lost) " of A and " (comparison.b.lost) " of B were lost." }
        (explained)
    };
    Section::new(Place::Method, "Method and trust", body)
}

fn raw(comparison: &Comparison) -> Section {
    let files = |files: &[String]| files.iter().map(|file| shell(file)).collect::<Vec<_>>().join(" ");
    let (a, b) = (files(&comparison.a.files), files(&comparison.b.files));
    let single = comparison.a.files.len() == 1 && comparison.b.files.len() == 1;
    let to = if single { "" } else { "--to " };
    method::raw(&[format!("hostdiag diff --format json {a} {to}{b}")])
}
