//! Two hosts side by side, as text: what changed, the cause on top.

use hostdiag_model::compare::Report;

use crate::page::{Page, Style};

pub(crate) mod causes;
pub(crate) mod head;
pub(crate) mod others;

/// How a comparison is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Every difference, not the likely causes alone.
    pub all: bool,
    /// Colours.
    pub style: Style,
}

/// The whole of it: one screen, unless everything is asked for.
pub fn text(report: &Report, options: Options) -> String {
    let mut page = Page::new(options.style);
    head::text(&mut page, report);
    page.put("\n");
    let number = causes::text(&mut page, report, options);
    others::text(&mut page, report, (number, options));
    head::trust(&mut page, report);
    page.finish()
}

/// What is to be done next, for stderr.
pub fn next(report: &Report) -> Option<String> {
    let single = [&report.a, &report.b].iter().all(|side| side.hosts.len() == 1);
    let one = report.parts.iter().all(|part| part.comparison.a.files.len() < 2);
    let why = format!("Why   hostdiag explain {}", report.verdict.as_str());
    let cause = report.causes.first().map(|_| "     Rules   hostdiag explain compare");
    Some(match (single && one, cause) {
        (true, _) if !report.parts.is_empty() => {
            format!("Sure   three recordings a side: --repeat 3, or --group     {why}")
        }
        (_, Some(cause)) => format!("{why}{cause}"),
        _ => why,
    })
    .filter(|_| report.verdict != hostdiag_model::diff::Verdict::Same)
}
