//! What `perf script` prints, as folded stacks: inferno reads it.

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
    Folder::from(options).collapse(text.as_bytes(), &mut folded).map_err(|error| error.to_string())?;
    String::from_utf8(folded).map_err(|error| error.to_string())
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
    fn what_names_no_event_is_refused() {
        for text in ["", "\n\n", "a;b 12\n\n", "java 1714\n\tffffffff814ee977 tcp_push_one ([k])\n\n"] {
            assert!(folded(text).is_err(), "{text}");
        }
        assert_eq!(folded("\n: \n\n").unwrap(), "");
    }
}
