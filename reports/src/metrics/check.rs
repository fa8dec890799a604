//! Whether the textfile collector will serve a file as a whole. It drops series that are given
//! twice without a word, and a whole file for a timestamp or a missing newline (measured with
//! node_exporter 1.5), of which `promtool check metrics` tells the last alone.

use std::collections::BTreeSet;

/// Checks a text of gauges and counters.
///
/// # Errors
/// The first line that is wrong, with its number, from 1, and why.
pub fn check(text: &str) -> Result<(), String> {
    let Some(text) = text.strip_suffix('\n') else { return Err("there is no newline at the end".into()) };
    let mut seen = Seen::default();
    for (index, line) in text.split('\n').enumerate() {
        seen.line(line).map_err(|wrong| format!("line {}: {wrong}", index + 1))?;
    }
    Ok(())
}

/// What came before a line.
#[derive(Default)]
struct Seen {
    /// Names of families.
    families: BTreeSet<String>,
    /// The family that lines belong to now.
    name: String,
    /// Its type; absent before it is told.
    kind: Option<String>,
    /// Name and labels of each series.
    series: BTreeSet<(String, Vec<(String, String)>)>,
}

impl Seen {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(help) = line.strip_prefix("# HELP ") {
            return self.help(help);
        }
        match line.strip_prefix("# TYPE ") {
            Some(kind) => self.kind(kind),
            None => self.sample(line),
        }
    }

    fn help(&mut self, line: &str) -> Result<(), String> {
        let (name, _) = line.split_once(' ').ok_or("a HELP without a text")?;
        if !is_name(name) {
            return Err(format!("no name of a metric: {name:?}"));
        }
        if !self.families.insert(name.to_owned()) {
            return Err(format!("{name} comes twice"));
        }
        (self.name, self.kind) = (name.to_owned(), None);
        Ok(())
    }

    fn kind(&mut self, line: &str) -> Result<(), String> {
        let (name, kind) = line.split_once(' ').ok_or("a TYPE without a type")?;
        if name != self.name || self.kind.is_some() {
            return Err(format!("the TYPE of {name} does not follow its HELP"));
        }
        if (kind == "counter") != name.ends_with("_total") || !["gauge", "counter"].contains(&kind) {
            return Err(format!("{name} is no {kind} by its name"));
        }
        self.kind = Some(kind.to_owned());
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("neither labels nor a value")?;
        let (name, rest) = line.split_at(end);
        if name != self.name || self.kind.is_none() {
            return Err(format!("{name:?} does not follow its HELP and TYPE"));
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = rest.strip_prefix(' ').ok_or("no blank in front of the value")?;
        // A timestamp would be a second word.
        if value.contains(' ') || !value.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(format!("no value: {value:?}"));
        }
        if self.series.insert((name.to_owned(), labels)) {
            Ok(())
        } else {
            Err(format!("{line} comes twice"))
        }
    }
}

fn is_name(text: &str) -> bool {
    let word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    word && text.starts_with(|first: char| !first.is_ascii_digit())
}

/// Name and value of each label.
type Labels = Vec<(String, String)>;

/// Labels behind their brace, sorted, and what follows the closing one.
pub(super) fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    loop {
        let (name, quoted) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name) || labels.iter().any(|(known, _)| known == name) {
            return Err(format!("no name of a label, or given twice: {name:?}"));
        }
        let (value, after) = unquoted(quoted)?;
        labels.push((name.to_owned(), value));
        if let Some(after) = after.strip_prefix('}') {
            labels.sort();
            return Ok((labels, after));
        }
        rest = after.strip_prefix(',').ok_or("neither a comma nor a brace behind a label")?;
    }
}

/// A value up to its closing quote, and what follows that.
fn unquoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, c @ ('\\' | '"'))) => c,
                Some((_, 'n')) => '\n',
                _ => return Err("a backslash that escapes nothing".into()),
            }),
            c => value.push(c),
        }
    }
    Err("a value without its closing quote".into())
}
