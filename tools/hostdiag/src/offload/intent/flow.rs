//! Which lines of a script run for which devices, as far as tests of the
//! device's name tell: `[ "$IFACE" = eth0 ] || exit 0`, `if ... fi` and
//! `case ... esac` over several lines. Other tests are taken to hold. Pure.

use super::commands::{self, Token};
use crate::offload::glob;

/// The devices that a test lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// Names or shell patterns.
    patterns: Vec<String>,
    /// Only these, or all but these.
    only: bool,
}

impl Limit {
    pub(super) fn admits(&self, device: &str) -> bool {
        self.patterns.iter().any(|pattern| glob::matches(pattern, device)) == self.only
    }

    fn negated(&self) -> Self {
        Self { only: !self.only, ..self.clone() }
    }
}

/// An `if` or `case` that is open.
enum Frame {
    If(Option<Limit>),
    /// Whether the device is what it tests, and the arm that is open.
    Case(bool, Option<Limit>),
}

impl Frame {
    fn limit(&self) -> Option<&Limit> {
        match self {
            Self::If(limit) | Self::Case(_, limit) => limit.as_ref(),
        }
    }
}

/// The limits of every line; `is_device` tells whether a word, such as
/// `$IFACE`, is the name of the device that the script runs for.
pub(super) fn limits(lines: &[(u32, String)], is_device: impl Fn(&str) -> bool) -> Vec<Vec<Limit>> {
    let mut flow = Flow { is_device, frames: Vec::new(), lasting: Vec::new() };
    lines.iter().map(|(_, line)| flow.line(line)).collect()
}

struct Flow<F> {
    is_device: F,
    frames: Vec<Frame>,
    /// From tests that leave the script.
    lasting: Vec<Limit>,
}

impl<F: Fn(&str) -> bool> Flow<F> {
    fn line(&mut self, line: &str) -> Vec<Limit> {
        let tokens = commands::tokens(line);
        let test = self.test(&tokens);
        let conditional = self.open(&tokens, test.as_ref());
        self.arm(line);
        let mut limits: Vec<Limit> =
            self.frames.iter().filter_map(Frame::limit).chain(&self.lasting).cloned().collect();
        if leaves(&tokens) {
            let negated = || self.frames.last().and_then(Frame::limit).map(Limit::negated);
            let stays = match test {
                Some(test) if leaves_otherwise(line) => Some(test),
                Some(test) => Some(test.negated()),
                None => negated(),
            };
            self.lasting.extend(stays);
        } else if let (false, Some(test)) = (conditional, test) {
            // [ "$IFACE" = eth0 ] && ethtool ...
            limits.push(if line.contains("||") && !line.contains("&&") { test.negated() } else { test });
        }
        self.close(&tokens, line);
        limits
    }

    /// The names that a line compares the device with. Several tests are taken
    /// as one list, which is what they are in every sensible combination.
    fn test(&self, tokens: &[Token]) -> Option<Limit> {
        let mut limit: Option<Limit> = None;
        for triple in tokens.windows(3) {
            let [Token::Word(tested), Token::Word(operator), Token::Word(name)] = triple else { continue };
            let only = match operator.as_str() {
                "=" | "==" => true,
                "!=" => false,
                _ => continue,
            };
            if (self.is_device)(tested) && !name.is_empty() && !name.contains('$') {
                let limit = limit.get_or_insert_with(|| Limit { patterns: Vec::new(), only });
                limit.patterns.push(name.clone());
            }
        }
        limit
    }

    /// Opens what the line opens; whether it has a condition of that kind.
    fn open(&mut self, tokens: &[Token], test: Option<&Limit>) -> bool {
        let mut conditional = false;
        for (index, keyword) in keywords(tokens) {
            match keyword {
                "if" => self.frames.push(Frame::If(test.cloned())),
                "elif" | "else" => {
                    if let Some(Frame::If(limit)) = self.frames.last_mut() {
                        *limit = if keyword == "elif" {
                            test.cloned()
                        } else {
                            limit.as_ref().map(Limit::negated)
                        };
                    }
                }
                "case" => {
                    let tested =
                        matches!(tokens.get(index + 1), Some(Token::Word(word)) if (self.is_device)(word));
                    self.frames.push(Frame::Case(tested, None));
                }
                _ => continue,
            }
            conditional = true;
        }
        conditional
    }

    /// Opens the arm of a case: `eth0|eth1)`.
    fn arm(&mut self, line: &str) {
        let Some(Frame::Case(true, arm)) = self.frames.last_mut() else { return };
        let Some((patterns, _)) = line.trim().trim_start_matches('(').split_once(')') else { return };
        if patterns.contains(['(', ';', '`']) || patterns.contains(" in ") {
            return;
        }
        let words = patterns.split('|').map(|word| word.trim().trim_matches(['"', '\'']).to_owned());
        *arm = Some(Limit { patterns: words.collect(), only: true });
    }

    fn close(&mut self, tokens: &[Token], line: &str) {
        for (_, keyword) in keywords(tokens) {
            if matches!(keyword, "fi" | "esac") {
                self.frames.pop();
            }
        }
        if let Some(Frame::Case(_, arm)) = self.frames.last_mut().filter(|_| line.trim_end().ends_with(";;"))
        {
            *arm = None;
        }
    }
}

/// The words that stand where a command begins.
fn keywords(tokens: &[Token]) -> impl Iterator<Item = (usize, &str)> {
    let mut begins = true;
    tokens.iter().enumerate().filter_map(move |(index, token)| {
        let Token::Word(word) = token else {
            begins = true;
            return None;
        };
        let keyword = begins.then_some((index, word.as_str()));
        begins = begins && matches!(word.as_str(), "then" | "else" | "do" | "{" | "!");
        keyword
    })
}

fn leaves(tokens: &[Token]) -> bool {
    keywords(tokens).any(|(_, word)| matches!(word, "exit" | "return"))
}

/// Whether the script is left when the test does not hold.
fn leaves_otherwise(line: &str) -> bool {
    line.rsplit_once("||").is_some_and(|(_, after)| {
        let after = after.trim_start_matches([' ', '\t', '{']);
        after.starts_with("exit") || after.starts_with("return")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The devices for which the lines run that say `run`.
    fn runs(script: &str) -> Vec<String> {
        let lines = commands::logical_lines(script);
        let limits = limits(&lines, |word| word == "$IFACE");
        let run = lines.iter().zip(&limits).filter(|((_, line), _)| line.contains("run"));
        let admitted = |limits: &[Limit]| {
            let all = ["eth0", "eth1", "vlan10"].into_iter();
            all.filter(|device| limits.iter().all(|limit| limit.admits(device))).collect::<Vec<_>>().join(" ")
        };
        run.map(|(_, limits)| admitted(limits)).collect()
    }

    #[test]
    fn tests_of_the_name_limit_what_follows() {
        let all = "eth0 eth1 vlan10";
        let cases: [(&str, &[&str]); 15] = [
            ("run", &[all]),
            ("[ \"$IFACE\" = eth0 ] || exit 0\nrun", &["eth0"]),
            ("[ \"$IFACE\" != eth0 ] || exit 0\nrun", &["eth1 vlan10"]),
            ("[ \"$IFACE\" = lo ] && exit 0\nrun", &[all]),
            ("[ \"$IFACE\" = eth0 ] || [ \"$IFACE\" = eth1 ] || exit\nrun", &["eth0 eth1"]),
            ("[[ $IFACE == eth* ]] || { exit 0; }\nrun", &["eth0 eth1"]),
            ("if [ \"$IFACE\" = eth0 ]; then exit 0; fi\nrun", &["eth1 vlan10"]),
            ("if [ \"$IFACE\" != eth0 ]\nthen\n  exit 0\nfi\nrun", &["eth0"]),
            (
                "if [ $IFACE = eth0 ]; then\nrun\nelif [ $IFACE = eth1 ]; then\nrun\nfi\nrun",
                &["eth0", "eth1", all],
            ),
            ("if [ $IFACE = eth0 ]; then\nrun\nelse\nrun\nfi", &["eth0", "eth1 vlan10"]),
            ("if [ -f /x ]; then\nif test $IFACE = eth0; then run; fi\nrun\nfi\nrun", &["eth0", all, all]),
            ("[ $IFACE = eth0 ] && run\n[ $IFACE = eth0 ] || run", &["eth0", "eth1 vlan10"]),
            (
                "case \"$IFACE\" in\neth0|eth1)\n  run\n  ;;\n\"vlan\"*) run ;;\nesac\nrun",
                &["eth0 eth1", "", all],
            ),
            ("case $IFACE in\n  lo) exit 0 ;;\n  eth1) exit ;;\nesac\nrun", &["eth0 vlan10"]),
            ("case \"$1\" in\nstart)\n run\n;;\nesac", &[all]),
        ];
        for (script, expected) in cases {
            assert_eq!(runs(script), expected, "{script}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(script in "(if|fi|case|esac|else|elif|in|exit|;;|;|\\)|\\||\\$IFACE|=| |\n|x){0,40}") {
            let lines = commands::logical_lines(&script);
            prop_assert_eq!(limits(&lines, |word| word == "$IFACE").len(), lines.len());
        }
    }
}
