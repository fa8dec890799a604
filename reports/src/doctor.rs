//! `hostdiag doctor` as text and JSON.

use hostdiag_model::{Check, CheckState, Doctor};

use crate::page::{Ink, Page, Style};

/// One JSON object and a line feed; [`hostdiag_model::doctor`] describes it.
///
/// # Errors
/// None in practice: the data has no maps with keys that are no strings.
pub fn json(doctor: &Doctor) -> serde_json::Result<String> {
    serde_json::to_string(doctor).map(|text| text + "\n")
}

/// One screen: what is missing first, with what provides it.
pub fn text(doctor: &Doctor, style: Style) -> String {
    let mut page = Page::new(style);
    headline(&mut page, doctor);
    let width = doctor.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let of = |state| doctor.checks.iter().filter(move |check| check.state == state);
    gaps(&mut page, of(CheckState::Missing).chain(of(CheckState::Unknown)), width);
    page.put("\n");
    for check in of(CheckState::Ok) {
        page.ink(Ink::Green, "ok").line(&format!("       {:width$}  {}", check.name, check.detail));
    }
    for line in &doctor.leftovers {
        page.ink(Ink::Yellow, "left").line(&format!("     {line}"));
    }
    next(&mut page, doctor);
    page.finish()
}

fn headline(page: &mut Page, doctor: &Doctor) {
    page.ink(Ink::Bold, &doctor.host.name);
    if let Some(kernel) = &doctor.host.kernel {
        page.put(&format!("  Linux {kernel}"));
    }
    if let Some(machine) = &doctor.host.machine {
        page.put(&format!(" {machine}"));
    }
    let count = |state| doctor.checks.iter().filter(|check| check.state == state).count();
    page.put(&format!(": {} ok", count(CheckState::Ok)));
    for (state, word) in [(CheckState::Missing, "missing"), (CheckState::Unknown, "unknown")] {
        let number = count(state);
        if number > 0 {
            page.put(&format!(", {number} {word}"));
        }
    }
    page.put("\n");
    for check in doctor.blocking() {
        page.ink(Ink::Red, &format!("{} cannot work without {}\n", check.needed_for.join(", "), check.name));
    }
    page.put("\n");
}

/// Those with one remedy stand together, with the remedy below the last.
fn gaps<'a>(page: &mut Page, checks: impl Iterator<Item = &'a Check>, width: usize) {
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
            gap(page, check, width);
        }
        if !remedy.is_empty() {
            page.line(&format!("         {:width$}  remedy: {remedy}", ""));
        }
    }
}

fn gap(page: &mut Page, check: &Check, width: usize) {
    let (word, ink) =
        if check.state == CheckState::Missing { ("MISSING", Ink::Red) } else { ("UNKNOWN", Ink::Yellow) };
    page.ink(ink, word).put(&format!("  {:width$}  {}", check.name, check.detail));
    if !check.needed_for.is_empty() {
        page.put(&format!(" (for {})", check.needed_for.join(", ")));
    }
    page.put("\n");
}

fn next(page: &mut Page, doctor: &Doctor) {
    page.put("\n");
    if doctor.blocking().next().is_some() {
        page.ink(Ink::Bold, "Next   ").line("the remedies above, then hostdiag doctor again");
    } else {
        page.line("Nothing is missing that hostdiag offload cannot do without.");
        page.ink(Ink::Bold, "Next   ").line("hostdiag offload");
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
        assert_eq!(text(&sample(checks), Style::default()), expected);
    }

    #[test]
    fn json_reads_back_as_the_same() {
        let doctor = sample(vec![check("a", CheckState::Unknown)]);
        let text = json(&doctor).unwrap();
        assert_eq!(serde_json::from_str::<Doctor>(&text).unwrap(), doctor);
        assert!(text.starts_with(r#"{"schema":"hostdiag.doctor","version":1,"#));
    }
}
