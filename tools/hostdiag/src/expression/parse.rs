//! From text to what it says. A small grammar, read by descent:
//!
//! ```text
//! path       = "*"* ( name | "$ret" ) ( "->" name | "." name | "[" number "]" )*
//! condition  = and ( "||" and )*
//! and        = term ( "&&" term )*
//! term       = "!" term | "(" condition ")" | comparison
//! comparison = path [ "&" number ] [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) literal ]
//! literal    = [ "-" ] number | name | text             a name is one of an enumeration
//! text       = '"' ( character | "\\" | "\"" )* '"'
//! ```

use super::Problem;

/// Most parentheses and negations within each other.
const MAX_DEPTH: usize = 16;
/// Longest text, in bytes.
const MAX_TEXT: usize = 1024;

/// A value, and how to get at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where it begins.
    pub root: Root,
    /// Byte of the text where that stands.
    pub at: usize,
    /// What is done from there, in this order, each with its byte of the text.
    pub ways: Vec<(Way, usize)>,
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// An argument, a field of a tracepoint.
    Name(String),
    /// What the function returns.
    Return,
}

/// A step on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// `->name`
    Arrow(String),
    /// `.name`
    Dot(String),
    /// `[n]`
    Index(u64),
    /// `*`
    Follow,
}

/// What has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A value and what it is compared with.
    Compare(Comparison),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// One of them, or both.
    Or(Box<Self>, Box<Self>),
    /// Not this.
    Not(Box<Self>),
}

/// A value that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The value.
    pub path: Path,
    /// Only these of its bits.
    pub mask: Option<u64>,
    /// How.
    pub how: How,
    /// With what.
    pub literal: Literal,
    /// Byte of the text where that stands.
    pub at: usize,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A number: its size, and whether it is below zero.
    Number(u64, bool),
    /// The name of one.
    Name(String),
    /// A text.
    Text(String),
}

/// Reads an expression.
///
/// # Errors
/// Where it does not follow the grammar.
pub fn path(text: &str) -> Result<Path, Problem> {
    let mut reader = Reader::of(text)?;
    let path = reader.path()?;
    match reader.end() {
        Err(problem) => Err(problem.hint("an expression ends before this; conditions go to --where")),
        Ok(()) => Ok(path),
    }
}

/// Reads a condition.
///
/// # Errors
/// As [`path`].
pub fn condition(text: &str) -> Result<Condition, Problem> {
    let mut reader = Reader::of(text)?;
    let condition = reader.condition(0)?;
    reader.end()?;
    Ok(condition)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn of(text: &'a str) -> Result<Self, Problem> {
        match text.len() {
            ..=MAX_TEXT => Ok(Self { text, at: 0 }),
            _ => Err(Problem::new(MAX_TEXT, "an expression is too long")),
        }
    }

    /// What is left, without the blanks before it.
    fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n']);
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    /// Takes this, if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        let comes = self.rest().starts_with(sign);
        self.at += if comes { sign.len() } else { 0 };
        comes
    }

    fn end(&mut self) -> Result<(), Problem> {
        match self.rest() {
            "" => Ok(()),
            rest => Err(self.unexpected(rest)),
        }
    }

    fn unexpected(&self, rest: &str) -> Problem {
        match rest.chars().next() {
            Some(c) => Problem::new(self.at, format!("{c:?} does not belong here")),
            None => Problem::new(self.at, "the expression ends too early"),
        }
    }

    fn name(&mut self) -> Option<String> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..length).filter(|name| name.starts_with(|c: char| !c.is_ascii_digit()))?;
        self.at += length;
        Some(name.to_owned())
    }

    fn expect_name(&mut self) -> Result<String, Problem> {
        let rest = self.rest();
        self.name().ok_or_else(|| self.unexpected(rest).hint("the name of a member is missing"))
    }

    /// A decimal number, or one with 0x.
    fn number(&mut self) -> Result<u64, Problem> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let digits = rest.get(..length).unwrap_or_default();
        if digits.is_empty() {
            return Err(self.unexpected(rest).hint("a number is missing"));
        }
        let number = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => digits.parse(),
        };
        let number =
            number.map_err(|_| Problem::new(self.at, format!("{digits} is no number of 64 bits")))?;
        self.at += length;
        Ok(number)
    }

    fn path(&mut self) -> Result<Path, Problem> {
        let mut follows = Vec::new();
        while self.take("*") {
            follows.push((Way::Follow, self.at - 1));
        }
        let rest = self.rest();
        let at = self.at;
        let root = match self.name() {
            Some(name) => Root::Name(name),
            None if self.take("$ret") => Root::Return,
            None => return Err(self.unexpected(rest).hint("an argument's name, arg1 to arg6, or $ret")),
        };
        if root == Root::Return && self.name().is_some() {
            return Err(Problem::new(at, "the only value of that kind is $ret"));
        }
        let mut ways = Vec::new();
        loop {
            self.rest();
            let at = self.at;
            let way = if self.take("->") {
                Way::Arrow(self.expect_name()?)
            } else if self.take(".") {
                Way::Dot(self.expect_name()?)
            } else if self.take("[") {
                let index = self.number()?;
                if !self.take("]") {
                    return Err(Problem::new(self.at, "a bracket is not closed").hint("]"));
                }
                Way::Index(index)
            } else {
                break;
            };
            ways.push((way, at));
        }
        // Those before bind less than those behind; the innermost is the last written.
        ways.extend(follows.into_iter().rev());
        Ok(Path { root, at, ways })
    }

    fn condition(&mut self, depth: usize) -> Result<Condition, Problem> {
        let mut all = self.and(depth)?;
        while self.take("||") {
            all = Condition::Or(Box::new(all), Box::new(self.and(depth)?));
        }
        Ok(all)
    }

    fn and(&mut self, depth: usize) -> Result<Condition, Problem> {
        let mut all = self.term(depth)?;
        while self.take("&&") {
            all = Condition::And(Box::new(all), Box::new(self.term(depth)?));
        }
        Ok(all)
    }

    fn term(&mut self, depth: usize) -> Result<Condition, Problem> {
        self.rest();
        if depth > MAX_DEPTH {
            return Err(Problem::new(self.at, "the condition is nested too deeply"));
        }
        if self.take("!") {
            return Ok(Condition::Not(Box::new(self.term(depth + 1)?)));
        }
        if !self.take("(") {
            return self.comparison().map(Condition::Compare);
        }
        let inner = self.condition(depth + 1)?;
        if !self.take(")") {
            return Err(Problem::new(self.at, "a parenthesis is not closed").hint(")"));
        }
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Comparison, Problem> {
        let path = self.path()?;
        let rest = self.rest();
        let masked = rest.starts_with('&') && !rest.starts_with("&&") && self.take("&");
        let mask = if masked { Some(self.number()?) } else { None };
        let Some(how) = self.how()? else {
            // As in C, whether it is not 0.
            let (how, literal) = (How::Unequal, Literal::Number(0, false));
            return Ok(Comparison { path, mask, how, literal, at: self.at });
        };
        self.rest();
        let at = self.at;
        let literal = match self.name() {
            Some(name) => Literal::Name(name),
            None if self.take("\"") => Literal::Text(self.text()?),
            None => {
                let negative = self.take("-");
                Literal::Number(self.number()?, negative)
            }
        };
        Ok(Comparison { path, mask, how, literal, at })
    }

    /// Up to its closing quote, the opening one is taken.
    fn text(&mut self) -> Result<String, Problem> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut text = String::new();
        let mut characters = rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        let problem = Problem::new(self.at + at, "a backslash quotes nothing here");
                        return Err(problem.hint(r#"\" and \\ are a quote and a backslash"#));
                    }
                },
                _ => text.push(character),
            }
        }
        Err(Problem::new(self.text.len(), "a text is not closed").hint("\""))
    }

    fn how(&mut self) -> Result<Option<How>, Problem> {
        use How::{AtLeast, AtMost, Equal, Less, More, Unequal};
        // Longer ones first.
        let signs =
            [("==", Equal), ("!=", Unequal), ("<=", AtMost), (">=", AtLeast), ("<", Less), (">", More)];
        if let Some((_, how)) = signs.into_iter().find(|(sign, _)| self.take(sign)) {
            return Ok(Some(how));
        }
        match self.rest().starts_with('=') {
            true => Err(Problem::new(self.at, "values are compared, not set").hint("==")),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ways(text: &str) -> String {
        let path = path(text).unwrap();
        let shown = path.ways.iter().map(|(way, at)| match way {
            Way::Arrow(name) => format!(">{name}@{at}"),
            Way::Dot(name) => format!(".{name}@{at}"),
            Way::Index(index) => format!("[{index}@{at}"),
            Way::Follow => format!("*@{at}"),
        });
        let root = match path.root {
            Root::Name(name) => name,
            Root::Return => "$ret".into(),
        };
        std::iter::once(root).chain(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_are_in_the_order_of_c() {
        assert_eq!(ways("size"), "size");
        assert_eq!(ways(" sk -> __sk_common . skc_dport"), "sk >__sk_common@4 .skc_dport@19");
        assert_eq!(ways("**p->name[0x10]"), "p >name@3 [16@9 *@1 *@0");
        assert_eq!(ways("$ret->len"), "$ret >len@4");
    }

    #[test]
    fn what_does_not_belong_is_marked() {
        for (text, at, what) in [
            ("", 0, "the expression ends too early"),
            ("a->", 3, "the expression ends too early"),
            ("a[x]", 2, "x is no number of 64 bits"),
            ("a[1", 3, "a bracket is not closed"),
            ("a + 1", 2, "'+' does not belong here"),
            ("$retval", 0, "the only value of that kind is $ret"),
            ("1", 0, "'1' does not belong here"),
        ] {
            let problem = path(text).unwrap_err();
            assert_eq!((problem.at, problem.what.as_str()), (at, what), "{text}");
        }
        for (text, at) in [
            ("a = 1", 2),
            ("(a", 2),
            ("a == ", 5),
            ("a == 1 b", 7),
            ("a && ", 5),
            (r#"a == "b"#, 7),
            (r#"a == "b\n""#, 7),
        ] {
            assert_eq!(condition(text).unwrap_err().at, at, "{text}");
        }
        assert!(condition(&"!".repeat(100)).unwrap_err().what.contains("nested"));
        assert!(condition(&"(".repeat(2000)).unwrap_err().what.contains("too long"));
    }

    fn shown(condition: &Condition) -> String {
        match condition {
            Condition::And(a, b) => format!("({} and {})", shown(a), shown(b)),
            Condition::Or(a, b) => format!("({} or {})", shown(a), shown(b)),
            Condition::Not(a) => format!("not {}", shown(a)),
            Condition::Compare(Comparison { path, mask, how, literal, .. }) => {
                format!("{:?}{}{how:?}{literal:?}", path.root, mask.map_or(0, |mask| mask))
            }
        }
    }

    #[test]
    fn and_binds_more_than_or() {
        let read = |text| shown(&condition(text).unwrap());
        let a = r#"Name("a")0UnequalNumber(0, false)"#;
        assert_eq!(read("a || a && !a"), format!("({a} or ({a} and not {a}))"));
        assert_eq!(read("(a || a) && a"), format!("(({a} or {a}) and {a})"));
        assert_eq!(read("$ret>=-1"), "Return0AtLeastNumber(1, true)");
        assert_eq!(read("f & 0x4 == NAME"), r#"Name("f")4EqualName("NAME")"#);
        assert_eq!(
            read(r#"n != "a && \"\\" && f"#),
            format!(r#"(Name("n")0UnequalText("a && \"\\") and {})"#, a.replace("\"a\"", "\"f\""))
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-z$ret>&|=!<().\\[\\]0-9xé *\"\\\\-]{0,60}") {
            for problem in [path(&text).err(), condition(&text).err()].into_iter().flatten() {
                prop_assert!(problem.at <= text.len() && text.is_char_boundary(problem.at));
            }
        }
    }
}
