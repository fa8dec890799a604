//! What to trace, as it is typed: `tcp_*`, `nf_tables:nft_do_chain`,
//! `t:sched:sched_switch`, `libc:malloc`, `/usr/bin/app:main`.

use hostdiag_model::glob;
use regex_lite::Regex;

use crate::fail::{Code, Failure};

/// One pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As typed.
    pub text: String,
    /// What it describes.
    pub place: Place,
}

/// What a pattern describes.
#[derive(Clone, Debug)]
pub enum Place {
    /// Functions of the kernel; with a module, of that one alone.
    Kernel {
        /// Name of a loaded module, or `vmlinux` for the kernel without them.
        module: Option<String>,
        /// Which functions.
        names: Names,
    },
    /// Functions of a program or library.
    User {
        /// Its path, or its name as `libc` or `bash`.
        file: String,
        /// Which functions.
        names: Names,
    },
    /// Tracepoints.
    Tracepoint {
        /// Which folders of `events` in tracefs.
        category: Names,
        /// Which events there.
        event: Names,
    },
}

/// A set of names.
#[derive(Clone, Debug)]
pub enum Names {
    /// This one, and what the compiler made of it (`.isra.0`, `.constprop.0`).
    Exact(String),
    /// A shell pattern.
    Glob(String),
    /// A regular expression, which may match anywhere in the name.
    Regex(Regex),
}

impl Names {
    /// Whether the name is one of them.
    pub fn contain(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name || exact == base(name),
            Self::Glob(pattern) => glob::matches(pattern, name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }

    /// The name, where it is one.
    pub fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            _ => None,
        }
    }

    fn parse(text: &str, regex: bool) -> Result<Self, Failure> {
        if text.is_empty() {
            return Err(bad(text, "it names no function"));
        }
        if regex {
            return Regex::new(text).map(Self::Regex).map_err(|error| bad(text, &error.to_string()));
        }
        Ok(Self::plain(text))
    }

    /// A name or a shell pattern.
    pub fn plain(text: &str) -> Self {
        if glob::is_pattern(text) { Self::Glob(text.into()) } else { Self::Exact(text.into()) }
    }
}

/// The name in the source of a function that the compiler has cloned or split:
/// `tcp_ack.isra.0` is `tcp_ack`.
pub fn base(name: &str) -> &str {
    const SUFFIXES: [&str; 5] = ["isra", "constprop", "part", "cold", "llvm"];
    match name.split_once('.') {
        Some((base, rest)) if SUFFIXES.iter().any(|suffix| rest.starts_with(suffix)) => base,
        _ => name,
    }
}

/// Reads a pattern. `is_module` tells whether a module of that name is loaded,
/// because `name:function` may be of a module or of a library.
///
/// # Errors
/// `bad-pattern`, with the forms that there are.
pub fn parse(text: &str, regex: bool, is_module: impl Fn(&str) -> bool) -> Result<Pattern, Failure> {
    let place = match split(text).as_slice() {
        [names] => Place::Kernel { module: None, names: Names::parse(names, regex)? },
        ["p", names] => Place::Kernel { module: None, names: Names::parse(names, regex)? },
        ["t", _] => return Err(bad(text, "a tracepoint has a category and a name")),
        [file, names] => of_file(file, Names::parse(names, regex)?, is_module),
        ["p", "", names] => Place::Kernel { module: None, names: Names::parse(names, regex)? },
        ["p", file, names] => of_file(file, Names::parse(names, regex)?, is_module),
        ["t", category, event] => {
            Place::Tracepoint { category: Names::parse(category, regex)?, event: Names::parse(event, regex)? }
        }
        ["u", ..] => return Err(bad(text, "static probes of user programs (u:) are not supported")),
        [kind, _, _] => return Err(bad(text, &format!("the type is p or t, not {kind:?}"))),
        _ => return Err(bad(text, "too many parts between colons")),
    };
    Ok(Pattern { text: text.into(), place })
}

fn of_file(file: &str, names: Names, is_module: impl Fn(&str) -> bool) -> Place {
    if file == "vmlinux" || !file.contains('/') && is_module(file) {
        Place::Kernel { module: Some(file.into()), names }
    } else {
        Place::User { file: file.into(), names }
    }
}

/// The parts between colons; colons in a regular expression stay there.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((part, after)) = rest.split_once(':') {
        let plain = |c: char| c.is_alphanumeric() || "_-./+*?[]".contains(c);
        if !part.chars().all(plain) {
            break;
        }
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

fn bad(text: &str, problem: &str) -> Failure {
    Failure::new(Code::BadPattern, format!("pattern {text:?}: {problem}")).hint(
        "func, 'glob*', module:func, lib:func, /path:func, t:category:event; with -r regular expressions",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, regex: bool) -> String {
        match parse(text, regex, |module| module == "nf_tables") {
            Ok(pattern) => match pattern.place {
                Place::Kernel { module, names } => format!("kernel {module:?} {}", name(&names)),
                Place::User { file, names } => format!("user {file} {}", name(&names)),
                Place::Tracepoint { category, event } => {
                    format!("event {} {}", name(&category), name(&event))
                }
            },
            Err(failure) => failure.message,
        }
    }

    fn name(names: &Names) -> String {
        match names {
            Names::Exact(name) => format!("={name}"),
            Names::Glob(glob) => format!("*{glob}"),
            Names::Regex(regex) => format!("/{regex}/"),
        }
    }

    #[test]
    fn every_form_is_read() {
        for (text, expected) in [
            ("mod_timer", "kernel None =mod_timer"),
            ("tcp_*", "kernel None *tcp_*"),
            ("p::tcp_ack", "kernel None =tcp_ack"),
            ("nf_tables:nft_*", "kernel Some(\"nf_tables\") *nft_*"),
            ("vmlinux:tcp_ack", "kernel Some(\"vmlinux\") =tcp_ack"),
            ("c:malloc", "user c =malloc"),
            ("p:c:malloc", "user c =malloc"),
            ("/bin/sh:main", "user /bin/sh =main"),
            ("t:sched:sched_*", "event =sched *sched_*"),
            ("t:sched", "pattern \"t:sched\": a tracepoint has a category and a name"),
            ("x:a:b", "pattern \"x:a:b\": the type is p or t, not \"x\""),
            ("a:b:c:d", "pattern \"a:b:c:d\": too many parts between colons"),
            ("", "pattern \"\": it names no function"),
        ] {
            assert_eq!(shown(text, false), expected, "{text}");
        }
        assert_eq!(shown("^tcp_(?:ack|rcv)$", true), "kernel None /^tcp_(?:ack|rcv)$/");
        assert_eq!(shown("c:^mal", true), "user c /^mal/");
        assert!(shown("(", true).starts_with("pattern \"(\": "));
        assert!(shown("u:libc:setjmp", false).contains("not supported"));
    }

    #[test]
    fn a_name_is_also_that_of_its_clones() {
        let ack = Names::plain("tcp_ack");
        for clone in ["tcp_ack", "tcp_ack.isra.0", "tcp_ack.part.0.isra.1", "tcp_ack.llvm.123"] {
            assert!(ack.contain(clone), "{clone}");
        }
        assert!(!ack.contain("tcp_ack_update"));
        assert!(!Names::plain("a").contain("a.b"));
        assert!(Names::Regex(Regex::new("ack").unwrap()).contain("tcp_ack_update"));
    }
}
