//! Two hosts on one page: the causes, what differs, and each kind of recordings compared.

use hostdiag_model::compare::{Cause, Part, Report, Side};
use hostdiag_model::diff::settings::Difference;
use hostdiag_model::snapshot::Unit;
use hostdiag_model::time::Utc;
use maud::{Markup, html};

use super::cell::{Cell, chip};
use super::table::{Kind, Table};
use super::{Page, Place, Section, comparison, method};
use crate::compare::{causes, head, others};
use crate::diff::number::{ratio, short};
use crate::markup::{LONGEST, bounded};
use crate::offload::words::shell;
use crate::snapshot::words::area;

/// A comparison as a page; `file` is where its recordings are kept, if they are.
pub fn page(report: &Report, file: Option<&str>) -> String {
    let title = format!("{} compared with {}", names(&report.b), names(&report.a));
    let mut sections = vec![verdict(report), environment(report), method(report)];
    sections.extend(differs(report));
    sections.extend(settings(report));
    sections.extend(rates(report));
    sections.extend(report.parts.iter().flat_map(part));
    if let Some(file) = file {
        sections.push(method::raw(&[format!("hostdiag compare --format json {}", shell(file))]));
    }
    Page { title, sections }.document()
}

fn names(side: &Side) -> String {
    let names: Vec<&str> = side.hosts.iter().map(|host| host.host.name.as_str()).collect();
    match names.as_slice() {
        [] => side.name.clone(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

fn verdict(report: &Report) -> Section {
    let (words, sure) = head::follows(report);
    let body = html! {
        p.lead { (chip(report.verdict.into(), report.verdict.as_str())) " " (bounded(&words, LONGEST)) }
        p { (bounded(&sure, LONGEST)) }
        p { "Work: " (bounded(&head::work(report), LONGEST)) }
    };
    Section::new(Place::Verdict, "Result", body)
}

/// The causes, the most likely first.
fn differs(report: &Report) -> Option<Section> {
    let body = html! { ol.differs { @for cause in &report.causes { li { (one(report, cause)) } } } };
    (!report.causes.is_empty()).then(|| Section::new(Place::Differs, "Likely causes", body))
}

fn one(report: &Report, cause: &Cause) -> Markup {
    let titles = causes::of(cause);
    let carried = causes::carried(report, cause);
    let symptoms: Vec<String> = cause.symptoms.iter().map(causes::symptom).collect();
    html! {
        @if let Some((first, rest)) = titles.split_first() {
            strong { (bounded(first, LONGEST)) } " " (bounded(carried.trim(), LONGEST))
            (method::list(rest))
        }
        p { (cause.rule.what) }
        (method::list(&symptoms))
        p { "Check: " code { (bounded(&causes::check(report, cause), LONGEST)) } }
    }
}

fn environment(report: &Report) -> Section {
    let columns = [
        ("side", Kind::Name),
        ("host", Kind::Text),
        ("reached as", Kind::Text),
        ("system", Kind::Text),
        ("kernel", Kind::Text),
        ("recordings", Kind::Number),
        ("started", Kind::Text),
    ];
    let mut table = Table::new("Hosts", &columns);
    for (letter, side) in [("A", &report.a), ("B", &report.b)] {
        for one in &side.hosts {
            let host = &one.host;
            table.row([
                letter.into(),
                host.name.clone().into(),
                one.target.clone().into(),
                host.os.clone().unwrap_or_default().into(),
                host.kernel.clone().unwrap_or_default().into(),
                one.recordings.to_string().into(),
                Utc::from_ms(one.started_ms).to_string().into(),
            ]);
        }
    }
    Section::new(Place::Environment, "Environment", html! { (table) })
}

/// Settings that are in no cause.
fn settings(report: &Report) -> Option<Section> {
    let columns = [
        ("setting", Kind::Name),
        ("of", Kind::Text),
        ("A", Kind::Text),
        ("B", Kind::Text),
        ("set in", Kind::Text),
    ];
    let tables: Vec<Table> = others::kinds(report.others.iter())
        .into_iter()
        .map(|((class, of), rows)| {
            let caption = format!("{}: {}", area(of), others::class(class));
            let mut table = Table::new(caption, &columns);
            rows.iter().for_each(|other| table.row(setting(&other.difference)));
            table
        })
        .collect();
    let compared = format!(
        "{} settings were compared; {} could not be read on a side.",
        report.settings.compared, report.settings.unread
    );
    let body = html! { @for table in &tables { (table) } p { (compared) } };
    (!tables.is_empty()).then(|| Section::new(Place::Environment, "Other settings", body))
}

fn setting(row: &Difference) -> [Cell; 5] {
    let value = |value: &Option<String>| value.as_deref().map_or("n/a".into(), causes::cut);
    let places = causes::places(&row.places);
    [
        row.name.clone().into(),
        places.trim_end_matches([':', ' ']).into(),
        value(&row.a).into(),
        value(&row.b).into(),
        row.origins.iter().flatten().next().cloned().unwrap_or_default().into(),
    ]
}

fn rates(report: &Report) -> Option<Section> {
    let columns = [
        ("counter", Kind::Name),
        ("A", Kind::Number),
        ("B", Kind::Number),
        ("change", Kind::Number),
        ("unit", Kind::Text),
    ];
    let mut table = Table::new("Counters of the kernel by second, the farthest apart first", &columns);
    for rate in &report.rates {
        let (scale, unit) = match rate.unit {
            Unit::Events => (1.0, "a second"),
            Unit::Microseconds => (1e6, "cores"),
        };
        let change = ratio(rate.change.ratio, rate.a, rate.b);
        table.row([
            rate.name.clone().into(),
            short(rate.a / scale).into(),
            short(rate.b / scale).into(),
            change.into(),
            unit.into(),
        ]);
    }
    let body = html! { (table) };
    (!table.is_empty()).then(|| Section::new(Place::Rates, "Counters", body))
}

/// A kind of recordings, without what the page says once.
fn part(part: &Part) -> Vec<Section> {
    let title = std::iter::once(&part.command).chain(&part.patterns).map(String::as_str);
    let title = title.take(4).collect::<Vec<_>>().join(" ");
    let mut sections = comparison::sections(&part.comparison);
    let once = [Place::Verdict, Place::Differs, Place::Environment, Place::Method, Place::Raw];
    sections.retain(|section| !once.contains(&section.place));
    for section in &mut sections {
        section.title = format!("{}: {title}", section.title);
    }
    sections
}

fn method(report: &Report) -> Section {
    let body = html! {
        p { "Settings that differ are joined with what they are known to cause and what was measured; each \
             sample of the profile is counted for one cause at most. " code { "hostdiag explain compare" }
            " has the rules." }
        p { (bounded(&head::trusted(report), LONGEST)) }
        (method::list(&head::notes(report)))
    };
    Section::new(Place::Method, "Method and trust", body)
}
