//! `[section]` / `key=value` files with the line of every entry: systemd units
//! and .link files, NetworkManager keyfiles, tuned profiles.

/// One `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    /// Line of the key, from 1.
    pub(super) line: u32,
    /// The line as it stands, continued lines joined.
    pub(super) text: String,
}

/// Whether a `\` at the end of a line goes on in the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Continuation {
    Backslash,
    None,
}

/// All entries in the order of the file. Lines that are none are skipped, as
/// the programs that read these files do.
pub(super) fn parse(text: &str, continuation: Continuation) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    let mut open = false;
    for (number, text) in (1..).zip(text.lines()) {
        let line = text.trim();
        if line.starts_with(['#', ';']) {
            // Also between continued lines.
            continue;
        }
        let (body, goes_on) = match line.strip_suffix('\\') {
            Some(body) if continuation == Continuation::Backslash => (body.trim_end(), true),
            _ => (line, false),
        };
        if open {
            if let Some(entry) = entries.last_mut() {
                entry.value.push(' ');
                entry.value.push_str(body);
                entry.text.push(' ');
                entry.text.push_str(body);
            }
            open = goes_on;
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
        } else if let Some((key, value)) = body.split_once('=') {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            entries.push(Entry { section: section.clone(), key, value, line: number, text: body.to_owned() });
            open = goes_on;
        }
    }
    entries
}

/// The last value of a key in a section, which is the one that counts.
pub(super) fn last<'a>(entries: &'a [Entry], section: &str, key: &str) -> Option<&'a str> {
    let found = entries.iter().rev().find(|entry| entry.section == section && entry.key == key);
    found.map(|entry| entry.value.as_str())
}

/// A boolean in the words of systemd, GLib and netplan.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// The words of a list that is separated by blanks, without quotes.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split_whitespace().map(|word| word.trim_matches(['"', '\''])).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_section_and_line() {
        let text = "# head\nstray\n[A]\nx = 1 \\\n; between\n  2\ny=\n[B]\nx=\"3\"\\\n";
        let entries = parse(text, Continuation::Backslash);
        let short: Vec<_> =
            entries.iter().map(|e| (e.section.as_str(), e.key.as_str(), e.value.as_str(), e.line)).collect();
        assert_eq!(short, [("A", "x", "1 2", 4), ("A", "y", "", 7), ("B", "x", "\"3\"", 9)]);
        assert_eq!(parse("x=a\\\ny=b", Continuation::None).len(), 2);
        assert_eq!(last(&entries, "A", "x"), Some("1 2"));
    }
}
