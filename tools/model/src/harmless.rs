//! Which characters text from a host or a file must not bring to a terminal.

/// Control characters, which a terminal obeys, and the bidirectional and
/// invisible ones, which make text read as what it is not. An interface name
/// may contain both (net/core/dev.c, `dev_valid_name`).
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Text without harmful characters.
pub fn harmless(text: &str) -> String {
    // As most of it is.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().filter(|c| !is_harmful(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_directions_go() {
        assert_eq!(harmless("a\x1b[2J\u{202e}b\u{200b}\u{feff}c\n"), "a[2Jbc");
    }
}
