//! Which host: as it is typed, and checked before anything is started with it.

use crate::fail::{Code, Failure};

/// A host that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name of its group, `a` and `b` unless the user named them.
    pub group: String,
    /// As typed.
    pub name: String,
    /// Where that is.
    pub place: Place,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This host, by an agent of its own.
    Local,
    /// Another, by ssh.
    Ssh {
        /// Whose account; absent: as ssh_config(5) has it.
        user: Option<String>,
        /// Its name or address.
        host: String,
        /// Absent: as ssh_config(5) has it.
        port: Option<u16>,
    },
}

impl Target {
    /// Reads `[user@]host[:port]` or `local`.
    ///
    /// # Errors
    /// `bad-target` for what is neither: it never reaches ssh.
    pub fn parse(group: &str, text: &str) -> Result<Self, Failure> {
        let place = if text == "local" { Place::Local } else { ssh(text).map_err(|why| bad(text, why))? };
        Ok(Self { group: group.to_owned(), name: text.to_owned(), place })
    }
}

fn ssh(text: &str) -> Result<Place, &'static str> {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or("something follows the bracket")?),
            };
            (host, port)
        }
        None => match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address stands in brackets: [fe80::1]");
            }
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("no such port"));
    let user_is_fine = user.is_none_or(|user| is_word(user.strip_suffix('$').unwrap_or(user), "_.-"));
    match () {
        () if !user_is_fine => Err("no name of a user"),
        () if !is_word(host, if rest.starts_with('[') { "_.-:%" } else { "_.-" }) => Err("no name of a host"),
        () => Ok(Place::Ssh { user: user.map(String::from), host: host.to_owned(), port: port.transpose()? }),
    }
}

/// Letters, digits and `others`, and no option: it begins with none of `-`, `.`, `%`.
fn is_word(text: &str, others: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    text.chars().all(plain) && text.len() <= 255 && !text.is_empty() && !text.starts_with(['-', '.', '%'])
}

fn bad(text: &str, why: &str) -> Failure {
    Failure::new(Code::BadTarget, format!("{text:?}: {why}"))
        .hint("a host is [user@]host[:port] as ssh knows it, or local; anything else goes into ~/.ssh/config")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(user: Option<&str>, host: &str, port: Option<u16>) -> Place {
        Place::Ssh { user: user.map(String::from), host: host.into(), port }
    }

    #[test]
    fn hosts_are_read() {
        for (text, place) in [
            ("local", Place::Local),
            ("web17", host(None, "web17", None)),
            ("root@web17.example.org:2222", host(Some("root"), "web17.example.org", Some(2222))),
            ("_svc-x.y$@10.0.0.1", host(Some("_svc-x.y$"), "10.0.0.1", None)),
            ("[fe80::1%eth0]:22", host(None, "fe80::1%eth0", Some(22))),
            ("a@[::1]", host(Some("a"), "::1", None)),
        ] {
            assert_eq!(Target::parse("a", text).unwrap().place, place, "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "-oProxyCommand=touch x",
            "-l",
            "a b",
            "a;b",
            "a\nb",
            "a`b`",
            "$(b)",
            "a'b",
            "a|b",
            "-x@host",
            "user@-oProxyCommand=x",
            "@host",
            "user@",
            "host:",
            "host:0",
            "host:99999",
            "host:22x",
            "fe80::1",
            "[fe80::1",
            "[::1]x",
            "[-x]",
            "a@b@c",
            "a/b",
            "ü",
            "a\u{202e}b",
            "ssh://a",
            ".",
            "%h",
        ] {
            assert_eq!(Target::parse("a", text).unwrap_err().code, Code::BadTarget, "{text}");
        }
        assert!(Target::parse("a", &"x".repeat(256)).is_err());
    }
}
