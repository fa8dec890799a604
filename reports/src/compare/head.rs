//! Who is compared, how much work they did, and what follows.

use hostdiag_model::compare::{Basis, Cores, Measure, Report, Side, WorkKind};
use hostdiag_model::diff::{Verdict, Which};

use crate::diff::doubt_words;
use crate::diff::number::{short, signed};
use crate::page::{Ink, Page, count};
use crate::trace::duration::duration;

pub(super) fn text(page: &mut Page, report: &Report) {
    side(page, "A", &report.a);
    side(page, "B", &report.b);
    page.put("work    ").line(&work(report));
    result(page, report);
}

/// `A  jessie-7  Debian 8, Linux 4.9.43`.
fn side(page: &mut Page, letter: &str, side: &Side) {
    let mut parts = Vec::new();
    if !side.name.eq_ignore_ascii_case(letter) {
        parts.push(side.name.clone());
    }
    let names: Vec<&str> = side.hosts.iter().map(|host| host.host.name.as_str()).collect();
    parts.push(match names.as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        names => names.join(", "),
    });
    if let Some(host) = side.hosts.first() {
        let kernel = host.host.kernel.as_ref().map(|kernel| format!("Linux {kernel}"));
        let system: Vec<String> = host.host.os.clone().into_iter().chain(kernel).collect();
        parts.push(system.join(", "));
        parts.extend((host.target != host.host.name).then(|| host.target.clone()));
    }
    parts.retain(|part| !part.is_empty());
    page.ink(Ink::Bold, letter).put("  ").line(&parts.join("   "));
}

/// What both did, and whether that can be compared.
pub(crate) fn work(report: &Report) -> String {
    let work = &report.work;
    let of = |kind: WorkKind| work.measures.iter().find(|measure| measure.kind == kind).map(amounts);
    match work.basis {
        Basis::Same(kind) => format!("{}: comparable", of(kind).unwrap_or_default()),
        Basis::PerUnit(kind, times) => format!(
            "{}: B's figures are for the work of A (divided by {})",
            of(kind).unwrap_or_default(),
            short(times)
        ),
        Basis::Unknown => {
            let switches =
                of(WorkKind::ContextSwitches).map_or("not known".into(), |words| words + ", no network");
            format!("{switches}: compared by second (--work A,B says the work)")
        }
        Basis::NotComparable => {
            format!("{}: not comparable", work.measures.first().map(amounts).unwrap_or_default())
        }
    }
}

/// `A 4.10  B 4.06 Gbit/s sent`.
fn amounts(measure: &Measure) -> String {
    let (factor, unit) = match measure.kind {
        WorkKind::BytesSent => (8.0, " bit/s sent"),
        WorkKind::BytesReceived => (8.0, " bit/s received"),
        WorkKind::PacketsSent => (1.0, " packets/s sent"),
        WorkKind::PacketsReceived => (1.0, " packets/s received"),
        WorkKind::ContextSwitches => (1.0, " context switches/s"),
        WorkKind::Given => (1.0, " a second, as said"),
        // What was said is kept as if it had been counted.
        WorkKind::Counted => (1.0, " a second, as counted or said"),
    };
    format!("A {}  B {}{unit}", short(measure.a * factor), short(measure.b * factor))
}

fn result(page: &mut Page, report: &Report) {
    let ink = match report.verdict {
        Verdict::Regressed | Verdict::Differs | Verdict::Invalid => Ink::Red,
        Verdict::Indicative | Verdict::Inconclusive => Ink::Yellow,
        Verdict::Same | Verdict::Improved => Ink::Green,
    };
    let (words, sure) = follows(report);
    page.put("RESULT  ").ink(ink, &words).line(&format!("   {sure}"));
}

/// What follows, and how sure that is.
pub(crate) fn follows(report: &Report) -> (String, String) {
    match &report.cores {
        Some(cores) => (of_cores(cores, &report.work.basis), sure(cores.change.verdict)),
        None => (without_cores(report), report.verdict.as_str().into()),
    }
}

/// What kind of certainty a change of busy cores has.
fn sure(verdict: Verdict) -> String {
    let because = match verdict {
        Verdict::Indicative => "1 recording a side proves no more",
        Verdict::Inconclusive => "it may be chance",
        Verdict::Regressed | Verdict::Improved => "by more than chance",
        Verdict::Invalid => "too much was lost",
        Verdict::Same | Verdict::Differs => return verdict.as_str().into(),
    };
    format!("{}: {because}", verdict.as_str())
}

fn of_cores(cores: &Cores, basis: &Basis) -> String {
    let for_what = match basis {
        Basis::Same(_) => " for the same work",
        Basis::PerUnit(..) => " for the work of A",
        Basis::Unknown | Basis::NotComparable => "",
    };
    let [a, b] = [cores.a, cores.b].map(short);
    match cores.change.verdict {
        Verdict::Same => format!("A and B use as many busy cores{for_what} ({a} -> {b})"),
        _ => format!("B uses {} busy cores{for_what} ({a} -> {b})", signed(cores.difference())),
    }
}

fn without_cores(report: &Report) -> String {
    let settings =
        report.others.len() + report.causes.iter().map(|cause| cause.settings.len()).sum::<usize>();
    match settings {
        0 => "no setting differs; how busy CPUs were was not recorded".into(),
        some => format!("{} differ; how busy CPUs were was not recorded", count(some, "setting")),
    }
}

/// The last lines: what there is to doubt.
pub(super) fn trust(page: &mut Page, report: &Report) {
    page.put("trust   ").line(&trusted(report));
    for note in notes(report) {
        page.put("note    ").line(&note);
    }
}

/// How far it can be trusted.
pub(crate) fn trusted(report: &Report) -> String {
    let trust = &report.trust;
    let lost = match trust.lost {
        [0, 0] => "lost 0".to_owned(),
        [a, b] => format!("lost {a} on A, {b} on B"),
    };
    let overlap = trust.overlap.map(|share| format!("overlap {:.1} %", share * 100.0));
    let apart = trust.apart_ms.map(|ms| format!("recorded {} apart", long(ms)));
    let skew = trust.skew_us.map(|us| format!("skew {}", duration(us.saturating_mul(1000))));
    let read = (report.settings.unread > 0)
        .then(|| format!("{} not read", count(report.settings.unread, "setting")));
    let parts: Vec<String> = [Some(lost), overlap, apart, skew, read].into_iter().flatten().collect();
    parts.join(", ")
}

/// What is to be kept in mind, a sentence each.
pub(crate) fn notes(report: &Report) -> Vec<String> {
    let doubts =
        report.trust.doubts.iter().map(|(command, doubt)| format!("{command}: {}", doubt_words(doubt)));
    let alone = report.alone.iter().map(|(which, what)| {
        let side = if *which == Which::A { "A" } else { "B" };
        format!("{what}: recorded on {side} alone")
    });
    doubts.chain(alone).collect()
}

/// `40 s`, `3 h`, `12 days`.
fn long(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
