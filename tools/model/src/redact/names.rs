//! Pseudonyms, and where in a text there is something to be replaced.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Rule, device};

/// Kinds of pseudonyms, as they begin.
const KINDS: [&str; 12] =
    ["host", "domain", "user", "netns", "dev", "ipv4", "ipv6", "mac", "uuid", "text", "file", "cgroup"];
/// Folders that are the same on every host.
const SYSTEM: [&str; 7] = ["/etc/", "/lib/", "/proc/", "/run/", "/sys/", "/usr/", "/var/"];
/// Files in them likewise.
const FILES: [&str; 4] = ["NetworkManager.conf", "interfaces", "rc.local", "sysctl.conf"];

/// What stands for which name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// By kind and original.
    pseudonyms: HashMap<(&'static str, String), String>,
    /// So many of each kind.
    numbers: HashMap<&'static str, usize>,
    /// Originals that look like pseudonyms: they stay, and nothing else is called so.
    taken: HashSet<String>,
    /// Names that are replaced wherever they stand in text, and the longest of them.
    known: HashMap<String, String>,
    longest: usize,
}

impl Names {
    /// Takes note of a name that can be in other text too.
    pub(super) fn learn(&mut self, rule: Rule, text: &str) {
        if KINDS.iter().any(|kind| is_pseudonym(kind, text)) {
            self.taken.insert(text.to_owned());
        }
        match rule {
            Rule::Host if !text.contains('/') => self.learn_host(text),
            Rule::Device | Rule::Netns | Rule::User => {
                let replaced = self.replaced(rule, text);
                self.know(text, replaced);
            }
            _ => {}
        }
    }

    /// A host is known by its whole name and the first part, others by the rest.
    fn learn_host(&mut self, text: &str) {
        let name = host_of(text).1;
        if is_no_name(name) || name.parse::<IpAddr>().is_ok() {
            return;
        }
        let host = self.pseudonym("host", name);
        if let Some((short, domain)) = name.split_once('.') {
            let domain_name = self.pseudonym("domain", domain);
            self.know(domain, domain_name);
            self.know(short, host.clone());
        }
        self.know(name, host);
    }

    fn know(&mut self, name: &str, replaced: String) {
        if name != replaced && !name.is_empty() {
            self.longest = self.longest.max(name.len());
            self.known.insert(name.to_owned(), replaced);
        }
    }

    /// What stands there instead.
    pub(super) fn replaced(&mut self, rule: Rule, text: &str) -> String {
        match rule {
            Rule::Keep => text.to_owned(),
            _ if text.is_empty() => String::new(),
            Rule::Text => self.text(text),
            Rule::Whole => self.pseudonym("text", text),
            Rule::Expression => self.expression(text),
            Rule::Host => self.host(text),
            Rule::Device if device::is_usual(text) => text.to_owned(),
            Rule::Device if text.contains(char::is_whitespace) => self.text(text),
            Rule::Device => self.pseudonym("dev", text),
            Rule::Netns => self.pseudonym("netns", text),
            Rule::Mac => self.pseudonym("mac", text),
            Rule::Address => self.prefix(text),
            Rule::File => self.file(text),
            Rule::Cgroup => self.pseudonym("cgroup", text),
            Rule::User => self.pseudonym("user", text),
        }
    }

    fn pseudonym(&mut self, kind: &'static str, original: &str) -> String {
        if is_pseudonym(kind, original) {
            return original.to_owned();
        }
        if let Some(known) = self.pseudonyms.get(&(kind, original.to_owned())) {
            return known.clone();
        }
        let number = self.numbers.entry(kind).or_default();
        let pseudonym = loop {
            *number += 1;
            let pseudonym = format!("{kind}-{number}");
            if !self.taken.contains(&pseudonym) {
                break pseudonym;
            }
        };
        self.pseudonyms.insert((kind, original.to_owned()), pseudonym.clone());
        pseudonym
    }

    /// `root@web17:2222`, or the path of a file that stands for a host.
    fn host(&mut self, text: &str) -> String {
        if text.contains('/') {
            return self.file(text);
        }
        let (user, name, port) = host_of(text);
        let name = match name.parse() {
            Ok(address) => self.address(address),
            Err(_) if is_no_name(name) => name.to_owned(),
            Err(_) => self.pseudonym("host", name),
        };
        let user = user.map_or(String::new(), |user| self.pseudonym("user", user) + "@");
        format!("{user}{name}{port}")
    }

    /// `10.36.10.7/24`.
    fn prefix(&mut self, text: &str) -> String {
        let (address, length) = text.split_at(text.find('/').unwrap_or(text.len()));
        match address.parse() {
            Ok(address) => self.address(address) + length,
            Err(_) if ["ipv4", "ipv6"].iter().any(|kind| is_pseudonym(kind, address)) => text.to_owned(),
            Err(_) => self.pseudonym("text", address) + length,
        }
    }

    /// Those that every host has stay.
    fn address(&mut self, address: IpAddr) -> String {
        let of_all = match address {
            IpAddr::V4(v4) => v4.octets()[0] == 255 || v4.is_loopback() || v4.is_unspecified(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified(),
        };
        match address {
            _ if of_all => address.to_string(),
            IpAddr::V4(_) => self.pseudonym("ipv4", &address.to_string()),
            IpAddr::V6(_) => self.pseudonym("ipv6", &address.to_string()),
        }
    }

    /// The folder stays where it is one of the system, and what the name ends with.
    fn file(&mut self, path: &str) -> String {
        let (folder, name) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
        let folder = if SYSTEM.iter().any(|system| folder.starts_with(system)) { folder } else { "" };
        let folder = self.text(folder);
        if !folder.is_empty() && FILES.contains(&name) {
            return folder + name;
        }
        let plain = |end: &str| end.len() <= 12 && end.bytes().all(|byte| byte.is_ascii_alphabetic());
        let (stem, end) = match name.rfind('.') {
            Some(dot) if dot > 0 && plain(&name[dot + 1..]) => name.split_at(dot),
            _ => (name, ""),
        };
        if is_pseudonym("file", stem) {
            return folder + name;
        }
        // Of one name in two folders there are two files.
        folder + &self.pseudonym("file", path.strip_suffix(end).unwrap_or(path)) + end
    }

    /// Literals are in quotes.
    fn expression(&mut self, text: &str) -> String {
        let parts: Vec<String> = text
            .split('"')
            .enumerate()
            .map(|(at, part)| match at % 2 {
                1 if !part.is_empty() => self.pseudonym("text", part),
                _ => self.text(part),
            })
            .collect();
        parts.join("\"")
    }

    fn text(&mut self, text: &str) -> String {
        let text = self.addresses(text);
        let text = self.names(&text);
        self.homes(&text)
    }

    /// Addresses and UUIDs, wherever they stand.
    fn addresses(&mut self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
        let mut rest = text;
        while let Some(start) = rest.find(inside) {
            let end = rest[start..].find(|c| !inside(c)).map_or(rest.len(), |length| start + length);
            replaced.push_str(&rest[..start]);
            replaced.push_str(&self.token(&rest[start..end]));
            rest = &rest[end..];
        }
        replaced + rest
    }

    /// A word that may be an address or have some: `10.0.0.1:80`, `10.0.0.1::10.0.0.2`.
    fn token(&mut self, token: &str) -> String {
        let word = token.trim_end_matches(['.', ':', '-', '_']);
        let end = &token[word.len()..];
        if let Some(replaced) = self.whole(word) {
            return replaced + end;
        }
        if !word.contains('.') {
            return token.to_owned();
        }
        let part = |part: &str| match part.trim_end_matches(['.', ':', '-']).parse::<Ipv4Addr>() {
            Ok(address) => {
                self.address(address.into()) + &part[part.trim_end_matches(['.', ':', '-']).len()..]
            }
            Err(_) => part.to_owned(),
        };
        token.split_inclusive([':', '-', '_']).map(part).collect()
    }

    fn whole(&mut self, word: &str) -> Option<String> {
        if word.contains(':') {
            if is_mac(word) {
                return Some(self.pseudonym("mac", word));
            }
            return word.parse::<Ipv6Addr>().ok().map(|address| self.address(address.into()));
        }
        is_uuid(word).then(|| self.pseudonym("uuid", word))
    }

    /// Known names where words begin and end, the longest first.
    fn names(&self, text: &str) -> String {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let mut replaced = String::with_capacity(text.len());
        let (mut at, mut before) = (0, None);
        while let Some(c) = text[at..].chars().next() {
            let begins = word(c) && !before.is_some_and(word);
            let found = if begins { self.known_at(&text[at..]) } else { None };
            let length = match found {
                Some((length, pseudonym)) => {
                    replaced.push_str(pseudonym);
                    length
                }
                None => {
                    replaced.push(c);
                    c.len_utf8()
                }
            };
            before = text[..at + length].chars().next_back();
            at += length;
        }
        replaced
    }

    fn known_at(&self, text: &str) -> Option<(usize, &str)> {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let longest = (0..=self.longest.min(text.len())).rev();
        longest
            .filter(|end| text.is_char_boundary(*end))
            .filter(|end| !text[*end..].starts_with(word))
            .find_map(|end| Some((end, self.known.get(&text[..end])?.as_str())))
    }

    /// Folders of users.
    fn homes(&mut self, text: &str) -> String {
        const HOME: &str = "/home/";
        let mut parts = text.split(HOME);
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| c == '/' || c == '"' || c.is_whitespace()).unwrap_or(part.len());
            let user = if end > 0 { self.pseudonym("user", &part[..end]) } else { String::new() };
            replaced += &format!("{HOME}{user}{}", &part[end..]);
        }
        replaced
    }
}

fn is_pseudonym(kind: &str, text: &str) -> bool {
    let number = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| {
        !number.is_empty() && number.len() < 10 && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// User, host, and port with its colon.
fn host_of(text: &str) -> (Option<&str>, &str, &str) {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let port = rest.rfind(':').filter(|colon| {
        let digits = &rest[colon + 1..];
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && !rest[..*colon].contains(':')
    });
    let (host, port) = rest.split_at(port.unwrap_or(rest.len()));
    (user, host, port)
}

/// What hosts are called that have no name.
fn is_no_name(name: &str) -> bool {
    matches!(name, "" | "local" | "localhost" | "stdin" | "(none)")
}

fn is_mac(word: &str) -> bool {
    word.len() == 17 && word.split(':').all(|byte| byte.len() == 2 && is_hex(byte))
}

fn is_uuid(word: &str) -> bool {
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && word.split('-').all(is_hex)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
