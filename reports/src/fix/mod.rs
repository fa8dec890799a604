//! Repairs as text: what is planned, what was done, what was undone, and what
//! was done over time.
//!
//! A run is printed as it goes: [`run::recovered`], [`plan::text`],
//! [`run::step`] for each step, [`run::end`]. All of it one behind the other is
//! the page of its recording.

pub mod history;
pub mod plan;
pub mod run;
mod steps;
pub mod undo;
mod words;

use hostdiag_model::Recording;
use hostdiag_model::offload::Problem;
use hostdiag_model::plan::Fix;

use crate::page::{Ink, Page, Style, harmless};

/// Before what a run or an undo could not write down.
pub(crate) const NOT_KEPT: &str = "not kept: ";

/// What the caller asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Every device by name, however many.
    pub all: bool,
    /// Look.
    pub style: Style,
}

/// The page for a recording of `hostdiag offload --fix`.
pub fn text(recording: &Recording, fix: &Fix, options: Options) -> String {
    let mut text = fix.run.as_ref().map(|run| run::recovered(&run.recovered, options)).unwrap_or_default();
    text.push_str(&plan::text(&recording.host.name, &fix.plan, options));
    if let Some(run) = &fix.run {
        for (step, done) in fix.plan.steps.iter().zip(&run.steps) {
            text.push_str(&run::step(step, done, run.observe_ms, options));
        }
    }
    text.push_str(&run::end(fix, options));
    text.push_str(&partial(recording, options));
    text
}

/// What a recording lacks.
fn partial(recording: &Recording, options: Options) -> String {
    let mut page = Page::new(options.style);
    for loss in &recording.loss {
        page.ink(Ink::Yellow, "lost: ");
        line(&mut page, &format!("{} {}", loss.count, loss.what));
    }
    if recording.elapsed_ms.is_none() {
        page.ink(Ink::Yellow, "partial recording: it has no end\n");
    }
    page.finish()
}

fn not_kept(page: &mut Page, problems: &[Problem]) {
    for problem in problems {
        page.ink(Ink::Yellow, NOT_KEPT);
        line(page, &format!("{}: {}", problem.subject, problem.message));
    }
}

/// One line, whatever newlines a name or an error brings along.
fn line(page: &mut Page, text: &str) {
    page.line(&harmless(text));
}

#[cfg(test)]
mod tests;
