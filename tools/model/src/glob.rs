//! Shell patterns (`*`, `?`, `[a-z]`, `[!0-9]`, `\x`) against names of
//! devices, features and files, as fnmatch(3) without flags has them.
//!
//! Ours, because the patterns come from files that anyone may have written and
//! must not cost more than pattern length times text length: the matcher goes
//! back to the last `*` only, which is enough for shell patterns.

/// Whether `pattern` describes all of `text`.
///
/// A `[` without its `]` and a `\` at the end stand for themselves.
pub fn matches(pattern: &str, text: &str) -> bool {
    let items = compile(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut item, mut at) = (0, 0);
    // Where to go on when what follows the last star does not fit: the item
    // after the star, and the text position it was last tried at.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (items.get(item), text.get(at)) {
            (None, None) => return true,
            (Some(Item::Star), _) => {
                item += 1;
                retry = Some((item, at));
                continue;
            }
            (Some(one), Some(found)) if one.accepts(*found) => {
                item += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        match &mut retry {
            Some((after_star, tried)) if *tried < text.len() => {
                *tried += 1;
                (item, at) = (*after_star, *tried);
            }
            _ => return false,
        }
    }
}

/// Whether `text` holds a character that makes it a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// One position of a pattern.
enum Item {
    /// Any number of characters.
    Star,
    /// Exactly one, whichever.
    Any,
    /// Exactly this one.
    Literal(char),
    /// One of (or none of) these ranges, both ends included.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Item {
    fn accepts(&self, found: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Literal(expected) => *expected == found,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&found)) != *negated
            }
        }
    }
}

fn compile(pattern: &str) -> Vec<Item> {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut items = Vec::with_capacity(pattern.len());
    let mut rest = pattern.as_slice();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            // Many stars in a row are one.
            ('*', _) if matches!(items.last(), Some(Item::Star)) => {}
            ('*', _) => items.push(Item::Star),
            ('?', _) => items.push(Item::Any),
            ('\\', [escaped, after @ ..]) => {
                items.push(Item::Literal(*escaped));
                rest = after;
            }
            ('[', _) => match class(after) {
                Some((class, after)) => {
                    items.push(class);
                    rest = after;
                }
                None => items.push(Item::Literal('[')),
            },
            (literal, _) => items.push(Item::Literal(*literal)),
        }
    }
    items
}

/// Reads a class after its `[`; `None` when nothing closes it.
fn class(pattern: &[char]) -> Option<(Item, &[char])> {
    let (negated, pattern) = match pattern {
        ['!' | '^', after @ ..] => (true, after),
        _ => (false, pattern),
    };
    // A `]` that comes first is a member, not the end.
    let end = 1 + pattern.iter().skip(1).position(|found| *found == ']')?;
    let (mut members, after) = (pattern.get(..end)?, pattern.get(end + 1..)?);
    let mut ranges = Vec::new();
    loop {
        match members {
            [from, '-', to, next @ ..] => {
                ranges.push((*from, *to));
                members = next;
            }
            [one, next @ ..] => {
                ranges.push((*one, *one));
                members = next;
            }
            [] => return Some((Item::Class { negated, ranges }, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_in_fnmatch() {
        let cases = [
            ("vlan10", "vlan10", true),
            ("vlan10", "vlan1", false),
            ("vlan*", "vlan", true),
            ("vlan*", "xvlan1", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("e*p*s0", "enp1s0s0", true),
            ("e*p*s1", "enp1s0s0", false),
            ("eth?", "eth0", true),
            ("eth?", "eth10", false),
            ("eth[0-3]", "eth3", true),
            ("eth[0-3]", "eth4", false),
            ("eth[!0-3]", "eth4", true),
            ("eth[^0-3]", "eth3", false),
            ("eth[]x]", "eth]", true),
            ("eth[a-]", "eth-", true),
            ("eth[0", "eth[0", true),
            ("eth\\*", "eth*", true),
            ("eth\\*", "eth0", false),
            ("eth\\", "eth\\", true),
            ("**a**", "bab", true),
            ("bond?.*", "bondé.10", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let text = "a".repeat(4096);
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &text));
    }

    proptest! {
        #[test]
        fn never_panics_and_a_star_takes_all(pattern in ".{0,40}", text in ".{0,40}") {
            let _ = matches(&pattern, &text);
            prop_assert!(matches("*", &text));
        }

        #[test]
        fn plain_text_matches_only_itself(a in "[a-z0-9.:@-]{0,12}", b in "[a-z0-9.:@-]{0,12}") {
            prop_assert!(!is_pattern(&a));
            prop_assert_eq!(matches(&a, &b), a == b);
            let (star, front) = (format!("{}*", a), format!("{}{}", a, b));
            prop_assert!(matches(&star, &front));
        }
    }
}
