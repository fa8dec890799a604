//! What `perf script` prints, as folded stacks: inferno reads it.

use std::borrow::Cow;
use std::fmt::Write as _;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

/// Whether text begins as what perf script prints does: an event, and a frame below.
pub fn is_perf_script(start: &str) -> bool {
    Folder::from(Options::default()).is_applicable(start) == Some(true)
}

/// Its stacks, a line each.
///
/// # Errors
/// In words, why they cannot be read.
pub fn folded(text: &str) -> Result<String, String> {
    let event = first_event(text).ok_or("its first line names no event; perf script without -F does")?;
    let mut options = Options::default();
    // Else the library looks for it in the first block, and panics where there is none.
    options.event_filter = Some(event.to_owned());
    let mut folded = Vec::new();
    Folder::from(options).collapse(ascii(text).as_bytes(), &mut folded).map_err(|error| error.to_string())?;
    String::from_utf8(folded).map(restored).map_err(|error| error.to_string())
}

/// Around the number of a character that is not ASCII.
const MARKS: [char; 2] = ['\u{1}', '\u{2}'];

/// The library cuts symbols where a Rust symbol would have its hash, and panics where that
/// is within a character.
fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        if c.is_ascii() {
            plain.push(c);
        } else {
            let [open, close] = MARKS;
            // A String takes all that is written to it.
            let _ = write!(plain, "{open}{:x}{close}", u32::from(c));
        }
    }
    Cow::Owned(plain)
}

/// The characters again that [`ascii`] wrote as numbers.
fn restored(plain: String) -> String {
    let [open, close] = MARKS;
    let mut parts = plain.split(open);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.split_once(close);
        let read = number
            .and_then(|(digits, rest)| Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, rest)));
        match read {
            Some((c, rest)) => {
                text.push(c);
                text.push_str(rest);
            }
            None => text.push_str(part),
        }
    }
    text
}

/// `cycles` of `java 1714 [003] 4909.110009: 1 cycles: …`: stacks of one event alone make
/// sense together.
fn first_event(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'))?;
    let colons = || line.match_indices(':').map(|(at, _)| at);
    let ends = |at: &usize| line[at + 1..].chars().next().is_none_or(char::is_whitespace);
    let time = |at: &usize| line[..*at].ends_with(|c: char| c.is_ascii_digit());
    let time = colons().find(|at| ends(at) && time(at)).or_else(|| colons().find(ends))?;
    line[time + 1..].split(':').next()?.rsplit(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "java  1714 [003] 4909.110009:          1 cycles:\n\
        \tffffffff814ee977 tcp_push_one+0x10 ([kernel.kallsyms])\n\
        \tffffffff814eea10 do_sendfile+0x80 ([kernel.kallsyms])\n\n";

    #[test]
    fn stacks_are_folded() {
        assert!(is_perf_script(TEXT));
        assert!(!is_perf_script("a;b 12\n") && !is_perf_script(""));
        let stack = "java;do_sendfile;tcp_push_one 1\n";
        assert_eq!(folded(TEXT).unwrap(), stack);
        // Of another event, behind lines that say nothing.
        let other = TEXT.replace("cycles", "faults").replace("java", "nginx");
        assert_eq!(folded(&format!("\n# comment\n\n{TEXT}{other}")).unwrap(), stack);
    }

    #[test]
    fn symbols_in_any_language_are_kept() {
        // Where inferno would look for the hash of a Rust symbol there is half a character.
        for name in ["größenänderung_des_bildes", "main.Überprüfe_die_größe", "函数的名字不是英文字母写的"]
        {
            for cut in 0..4 {
                let name = format!("{name}{}", "x".repeat(cut));
                let text = TEXT.replace("tcp_push_one", &name).replace("java", "jävä");
                assert_eq!(folded(&text).unwrap(), format!("jävä;do_sendfile;{name} 1\n"));
            }
        }
    }

    #[test]
    fn what_names_no_event_is_refused() {
        for text in ["", "\n\n", "a;b 12\n\n", "java 1714\n\tffffffff814ee977 tcp_push_one ([k])\n\n"] {
            assert!(folded(text).is_err(), "{text}");
        }
        assert_eq!(folded("\n: \n\n").unwrap(), "");
    }
}
