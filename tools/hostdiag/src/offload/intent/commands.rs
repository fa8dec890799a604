//! Finds `ethtool -K DEVICE NAME on|off ...` in a line of shell, of a unit
//! file, of a udev rule. Pure.
//!
//! Only words, quotes, separators and comments of the shell are understood, not
//! its logic: a line that could run is evidence.

/// How deep commands are looked for in quoted words (`sh -c "..."`).
const MAX_DEPTH: usize = 4;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word without its quotes; variables stand as they were written.
    Word(String),
    /// `;`, `&&`, `|`, a bracket, a redirection: the command ends here.
    End,
}

/// One `ethtool -K`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// The device as written: a name, or a variable.
    pub(super) device: String,
    /// The words after it.
    pub(super) arguments: Vec<String>,
}

/// The commands of a line that set features, in their order.
pub(super) fn find(line: &str) -> Vec<Command> {
    let mut found = Vec::new();
    search(line, MAX_DEPTH, &mut found);
    found
}

fn search(line: &str, depth: usize, found: &mut Vec<Command>) {
    let tokens = tokens(line);
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        if is_ethtool(word) {
            found.extend(command(tokens.get(index + 1..).unwrap_or_default()));
        } else if depth > 0 && word.contains(char::is_whitespace) && mentions(word) {
            let inside = word.split_once("$(").map_or(word.as_str(), |(_, inside)| inside);
            search(inside, depth - 1, found);
        }
    }
}

/// Whether a text can hold a command at all.
pub(super) fn mentions(text: &str) -> bool {
    text.contains("ethtool") || text.contains("ETHTOOL")
}

fn is_ethtool(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    name == "ethtool" || matches!(name, "$ETHTOOL" | "${ETHTOOL}" | "$ethtool" | "${ethtool}")
}

/// Reads what follows the word `ethtool`.
fn command(tokens: &[Token]) -> Option<Command> {
    let mut words = tokens.iter().map_while(|token| match token {
        Token::Word(word) => Some(word.as_str()),
        Token::End => None,
    });
    loop {
        match words.next()? {
            "-K" | "--features" | "--offload" => break,
            "--json" | "-j" | "-I" | "--include-statistics" => {}
            "--debug" => _ = words.next()?,
            _ => return None,
        }
    }
    let device = words.next()?.to_owned();
    Some(Command { device, arguments: words.map(str::to_owned).collect() })
}

/// Splits a line as the shell does, roughly.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(end), _) if c == end => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            // What a command prints is one word here, unknown but not lost.
            (None, '$') if characters.peek() == Some(&'(') => {
                word.get_or_insert_default().push('$');
                substitution(&mut characters, word.get_or_insert_default());
            }
            // A comment begins only where a word could.
            (None, '#') if word.is_none() => break,
            (None, ';' | '&' | '|' | '(' | ')' | '`' | '<' | '>' | '\n') => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(Token::End);
            }
            (None, _) if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

/// Copies `(...)`, with what it encloses, to the word.
fn substitution(characters: &mut impl Iterator<Item = char>, word: &mut String) {
    let mut open = 0_usize;
    for c in characters {
        word.push(c);
        match c {
            '(' => open += 1,
            ')' if open <= 1 => return,
            ')' => open -= 1,
            _ => {}
        }
    }
}

/// The lines of a text, those that end with `\` joined with the next, each with
/// the number of its first line.
pub(super) fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        // A comment does not go on.
        let body = line.strip_suffix('\\').filter(|_| open || !line.trim_start().starts_with('#'));
        let part = body.unwrap_or(line);
        match lines.last_mut() {
            Some((_, whole)) if open => {
                whole.truncate(whole.trim_end().len());
                whole.push(' ');
                whole.push_str(part.trim());
            }
            _ => lines.push((number, part.to_owned())),
        }
        open = body.is_some();
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &str) -> Vec<String> {
        find(line).iter().map(|c| format!("{} <- {}", c.device, c.arguments.join(" "))).collect()
    }

    #[test]
    fn commands_are_found_where_shells_would() {
        let cases: [(&str, &[&str]); 17] = [
            ("ethtool -K eth0 sg off tx off", &["eth0 <- sg off tx off"]),
            ("  /usr/sbin/ethtool --offload \"$IFACE\" gro off || true", &["$IFACE <- gro off"]),
            ("$ETHTOOL --features 'eth0' tso off # why", &["eth0 <- tso off"]),
            ("sudo ethtool -K eth0 gso off; ethtool -K eth1 gso on", &["eth0 <- gso off", "eth1 <- gso on"]),
            ("/bin/sh -c '/sbin/ethtool -K eth0 sg off >/dev/null'", &["eth0 <- sg off"]),
            ("bash -c \"sh -c 'ethtool -K eth0 sg off'\"", &["eth0 <- sg off"]),
            ("test -x /sbin/ethtool && ethtool -K eth0 rx off 2>&1", &["eth0 <- rx off 2"]),
            ("x=$(ethtool -K eth0 rx off)", &["eth0 <- rx off"]),
            ("ethtool -K $(cat /etc/nic) rx off", &["$(cat /etc/nic) <- rx off"]),
            ("ethtool --debug 3 -K eth0 rx off", &["eth0 <- rx off"]),
            ("# ethtool -K eth0 sg off", &[]),
            ("echo a #ethtool -K eth0 sg off", &[]),
            ("ethtool -k eth0 | grep sg", &[]),
            ("ethtool -G eth0 rx 4096", &[]),
            ("ethtool -K", &[]),
            ("myethtool -K eth0 sg off", &[]),
            ("ethtool", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(shown(line), expected, "{line}");
        }
    }

    #[test]
    fn continued_lines_are_one() {
        let text = "a \\\n  b\nc\n# d \\\ne\nf\\";
        let lines = logical_lines(text);
        let expected = [(1, "a b"), (3, "c"), (4, "# d \\"), (5, "e"), (6, "f")];
        assert_eq!(lines, expected.map(|(number, line)| (number, line.to_owned())));
    }

    proptest! {
        #[test]
        fn never_panics(line in any::<String>()) {
            let _ = find(&line);
            let _ = logical_lines(&line);
        }

        #[test]
        fn plain_commands_are_always_found(device in "[a-z0-9.:@-]{1,15}", name in "[a-z-]{1,12}", on in any::<bool>()) {
            let state = if on { "on" } else { "off" };
            let commands = find(&format!("/sbin/ethtool -K {device} {name} {state}"));
            prop_assert_eq!(commands, [Command { device, arguments: vec![name, state.to_owned()] }]);
        }
    }
}
