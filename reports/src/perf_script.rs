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
    let mut folded = Vec::new();
    Folder::from(Options::default())
        .collapse(text.as_bytes(), &mut folded)
        .map_err(|error| error.to_string())?;
    String::from_utf8(folded).map_err(|error| error.to_string())
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
        assert_eq!(folded(TEXT).unwrap(), "java;do_sendfile;tcp_push_one 1\n");
    }
}
