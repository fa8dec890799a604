//! One page that opens in any browser without a network: what follows first, then
//! what it rests on. Every fact is in tables and pictures that need no script; the
//! script adds search, sorting and zoom. What hosts call things is text here, never
//! markup: [`cell::Cell`] and [`crate::markup`] bound it, and [`Page::document`] lets no
//! character through that could be obeyed.

use hostdiag_model::{Data, Recording};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::markup::{LONGEST, bounded};
use crate::page::is_harmful;

mod cell;
pub mod compare;
pub mod comparison;
mod environment;
mod flame;
mod histogram;
mod method;
mod offload;
mod repair;
mod snapshot;
mod stacks;
mod table;
mod timers;
mod trace;
mod values;

/// build.rs puts it together.
const STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/page.css"));
const SCRIPT: &str = include_str!("page.js");
/// What may stand in a page, and nothing is loaded from anywhere.
const POLICY: &str = concat!(
    "default-src 'none'; style-src '",
    env!("STYLE_HASH"),
    "'; script-src '",
    env!("SCRIPT_HASH"),
    "'; base-uri 'none'; form-action 'none'"
);

/// A page: any sections of any recordings, which it brings into its order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What it is about, in a line.
    pub title: String,
    /// Its parts.
    pub sections: Vec<Section>,
}

/// A part of a page.
#[derive(Clone, Debug)]
pub struct Section {
    /// Where it stands.
    pub place: Place,
    /// Its heading.
    pub title: String,
    /// What is in it.
    pub body: Markup,
}

/// Where a section stands, in the order of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// What follows.
    Verdict,
    /// What differs, the largest first.
    Differs,
    /// Hosts, and how they are set up.
    Environment,
    /// How long calls took.
    Latency,
    /// How often something happened.
    Rates,
    /// From where.
    Stacks,
    /// Timers of the kernel.
    Timers,
    /// Values of calls.
    Values,
    /// Features of network devices.
    Offload,
    /// What was changed, or is to be.
    Repairs,
    /// How it was measured, and what was lost.
    Method,
    /// How to get at all figures.
    Raw,
}

impl Place {
    /// For links within the page.
    fn anchor(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Differs => "differs",
            Self::Environment => "environment",
            Self::Latency => "latency",
            Self::Rates => "rates",
            Self::Stacks => "stacks",
            Self::Timers => "timers",
            Self::Values => "values",
            Self::Offload => "offload",
            Self::Repairs => "repairs",
            Self::Method => "method",
            Self::Raw => "raw",
        }
    }
}

impl Section {
    fn new(place: Place, title: impl Into<String>, body: Markup) -> Self {
        Self { place, title: title.into(), body }
    }
}

/// Recordings as a page; `file` is where they were read from.
pub fn report(recordings: &[Recording], file: &str) -> String {
    let title = match recordings {
        [one] => format!("{} on {}", heading(one), one.host.name),
        [first, ..] => format!("record on {}", first.host.name),
        [] => String::new(),
    };
    let mut sections: Vec<Section> = match recordings {
        [one] => sections(one),
        several => {
            several.iter().enumerate().flat_map(|(index, one)| among_others(one, index == 0)).collect()
        }
    };
    let command = format!("hostdiag report --format json {}", crate::offload::words::shell(file));
    sections.push(method::raw(&[command]));
    Page { title, sections }.document()
}

/// What a recording is of: its command, which for offloads has several uses.
fn heading(recording: &Recording) -> String {
    let what = match &recording.data {
        Data::Fix(_) => " repair",
        Data::Undo(_) => " undo",
        Data::History(_) => " history",
        Data::Offload(..) | Data::Trace(_) | Data::Snapshot(_) => "",
    };
    format!("{}{what}", recording.command)
}

/// The sections of a recording that is not alone on its page: they say which they are of,
/// and the host stands there once.
fn among_others(recording: &Recording, first: bool) -> Vec<Section> {
    let mut sections = sections(recording);
    sections.retain(|section| first || section.place != Place::Environment);
    for section in sections.iter_mut().filter(|section| section.place != Place::Environment) {
        section.title = format!("{}: {}", recording.command, section.title);
    }
    sections
}

/// The sections of a recording.
pub fn sections(recording: &Recording) -> Vec<Section> {
    let mut sections = match &recording.data {
        Data::Offload(data, audit) => offload::sections(recording, data, audit),
        Data::Fix(fix) => repair::fix(recording, fix),
        Data::Undo(undo) => repair::undo(recording, undo),
        Data::History(history) => repair::history(recording, history),
        Data::Trace(trace) => trace::sections(recording, trace),
        Data::Snapshot(data) => snapshot::sections(recording, data),
    };
    sections.insert(0, environment::of_one(recording));
    sections
}

impl Page {
    /// The whole document. The same sections make the same bytes.
    pub fn document(mut self) -> String {
        self.sections.sort_by_key(|section| section.place);
        let anchors = anchors(&self.sections);
        let title = bounded(&self.title, LONGEST);
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " - hostdiag" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (header(&title, &self.sections, &anchors))
                    main { @for (section, anchor) in self.sections.iter().zip(&anchors) {
                        section id=(anchor) aria-labelledby={ "h-" (anchor) } {
                            h2 id={ "h-" (anchor) } { (bounded(&section.title, LONGEST)) }
                            (section.body)
                        }
                    } }
                    footer { p { "Made by hostdiag. Everything is in this file; nothing is loaded." } }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        let kept = |c: &char| *c == '\n' || !is_harmful(*c);
        document.into_string().chars().filter(kept).chain(['\n']).collect()
    }
}

fn header(title: &str, sections: &[Section], anchors: &[String]) -> Markup {
    html! {
        header {
            a.skip href="#verdict" { "To the result" }
            h1 { (title) }
            nav aria-label="Sections" { ul { @for (section, anchor) in sections.iter().zip(anchors) {
                li { a href={ "#" (anchor) } { (bounded(&section.title, 60)) } }
            } } }
            div id="tools" hidden {}
        }
    }
}

/// A name for each section; of those in one place the second has a number.
fn anchors(sections: &[Section]) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut number = 1;
    for (at, section) in sections.iter().enumerate() {
        let again = at > 0 && sections[at - 1].place == section.place;
        number = if again { number + 1 } else { 1 };
        let anchor = section.place.anchor();
        anchors.push(if again { format!("{anchor}-{number}") } else { anchor.to_owned() });
    }
    anchors
}

#[cfg(test)]
mod tests;
