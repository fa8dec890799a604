//! `hostdiag doctor` as text and JSON.

use std::fmt::Write;

use hostdiag_model::{Check, CheckState, Doctor};

/// One JSON object and a line feed; [`hostdiag_model::doctor`] describes it.
///
/// # Errors
/// None in practice: the data has no maps with keys that are no strings.
pub fn json(doctor: &Doctor) -> serde_json::Result<String> {
    serde_json::to_string(doctor).map(|text| text + "\n")
}

/// One screen: what is missing first, with what provides it.
pub fn text(doctor: &Doctor) -> String {
    let mut out = headline(doctor);
    let width = doctor.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let of = |state| doctor.checks.iter().filter(move |check| check.state == state);
    gaps(&mut out, of(CheckState::Missing).chain(of(CheckState::Unknown)), width);
    out.push('\n');
    for check in of(CheckState::Ok) {
        _ = writeln!(out, "ok       {:width$}  {}", check.name, check.detail);
    }
    for line in &doctor.leftovers {
        _ = writeln!(out, "left     {line}");
    }
    _ = writeln!(out, "\n{}", next(doctor));
    out
}

fn headline(doctor: &Doctor) -> String {
    let count = |state| doctor.checks.iter().filter(|check| check.state == state).count();
    let mut out = doctor.host.name.clone();
    if let Some(kernel) = &doctor.host.kernel {
        _ = write!(out, "  Linux {kernel}");
    }
    if let Some(machine) = &doctor.host.machine {
        _ = write!(out, " {machine}");
    }
    _ = write!(out, ": {} ok", count(CheckState::Ok));
    for (state, word) in [(CheckState::Missing, "missing"), (CheckState::Unknown, "unknown")] {
        let number = count(state);
        if number > 0 {
            _ = write!(out, ", {number} {word}");
        }
    }
    out.push('\n');
    for check in doctor.blocking() {
        _ = writeln!(out, "{} cannot work without {}", check.needed_for.join(", "), check.name);
    }
    out.push('\n');
    out
}

/// Those with one remedy stand together, with the remedy below the last.
fn gaps<'a>(out: &mut String, checks: impl Iterator<Item = &'a Check>, width: usize) {
    let mut groups: Vec<(&str, Vec<&Check>)> = Vec::new();
    for check in checks {
        let remedy = check.remedy.as_deref().unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| *known == remedy) {
            Some((_, group)) => group.push(check),
            None => groups.push((remedy, vec![check])),
        }
    }
    for (remedy, group) in groups {
        for check in group {
            gap(out, check, width);
        }
        if !remedy.is_empty() {
            _ = writeln!(out, "         {:width$}  remedy: {remedy}", "");
        }
    }
}

fn gap(out: &mut String, check: &Check, width: usize) {
    let word = if check.state == CheckState::Missing { "MISSING" } else { "UNKNOWN" };
    _ = write!(out, "{word}  {:width$}  {}", check.name, check.detail);
    if !check.needed_for.is_empty() {
        _ = write!(out, " (for {})", check.needed_for.join(", "));
    }
    out.push('\n');
}

fn next(doctor: &Doctor) -> &'static str {
    if doctor.blocking().next().is_some() {
        "Next   the remedies above, then hostdiag doctor again"
    } else {
        "Nothing is missing that hostdiag offload cannot do without.\nNext   hostdiag offload"
    }
}

#[cfg(test)]
mod tests {
    use hostdiag_model::{Host, doctor};

    use super::*;

    fn check(name: &str, state: CheckState) -> Check {
        Check {
            name: name.into(),
            state,
            detail: "why".into(),
            needed_for: vec!["offload".into()],
            required: true,
            remedy: Some("do this".into()),
        }
    }

    fn sample(checks: Vec<Check>) -> Doctor {
        let host = Host { name: "web17".into(), kernel: Some("6.1.0".into()), ..Host::default() };
        Doctor {
            schema: doctor::SCHEMA.into(),
            version: doctor::VERSION,
            host,
            checks,
            leftovers: Vec::new(),
        }
    }

    #[test]
    fn what_is_missing_comes_first_with_its_remedy() {
        let checks = vec![check("a", CheckState::Ok), check("bc", CheckState::Missing)];
        let expected = "web17  Linux 6.1.0: 1 ok, 1 missing\n\
            offload cannot work without bc\n\n\
            MISSING  bc  why (for offload)\n\
            \x20            remedy: do this\n\n\
            ok       a   why\n\n\
            Next   the remedies above, then hostdiag doctor again\n";
        assert_eq!(text(&sample(checks)), expected);
    }

    #[test]
    fn json_reads_back_as_the_same() {
        let doctor = sample(vec![check("a", CheckState::Unknown)]);
        let text = json(&doctor).unwrap();
        assert_eq!(serde_json::from_str::<Doctor>(&text).unwrap(), doctor);
        assert!(text.starts_with(r#"{"schema":"hostdiag.doctor","version":1,"#));
    }
}
