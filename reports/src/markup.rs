//! Text as a part of SVG and HTML documents: neither markup nor anything that is
//! obeyed, and never longer than somebody reads.

use crate::page::is_harmful;

/// So many letters of a text are shown.
pub const LONGEST: usize = 300;

/// Text without harmful characters, with so many letters at most: two dots at its end
/// stand for the rest.
pub fn bounded(text: &str, letters: usize) -> String {
    let plain = || text.chars().filter(|c| !is_harmful(*c));
    match plain().nth(letters) {
        Some(_) => plain().take(letters.saturating_sub(2)).chain("..".chars()).collect(),
        None => plain().collect(),
    }
}

/// The same as it stands in a document, in elements and in attributes.
pub fn escaped(text: &str, letters: usize) -> String {
    let mut escaped = String::new();
    for letter in bounded(text, letters).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup_and_never_long() {
        assert_eq!(
            escaped("<a b=\"c\" d='e'>&\u{202e}\n", 30),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;"
        );
        assert_eq!(escaped("a<<<<", 4), "a&lt;..");
        assert_eq!(bounded("four", 4), "four");
        assert_eq!(bounded("\u{200b}\u{200b}four!", 4), "fo..");
        assert_eq!(bounded("four", 0), "..");
    }
}
