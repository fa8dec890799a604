//! Why a host failed, told from what ssh, a shell or sudo said.

use std::io;
use std::process::Command;

use super::push::{NO_FOLDER, NOT_WHOLE};
use crate::fail::{Code, Failure};

/// Longest part of what a host said that is shown, in characters.
const SHOWN: usize = 300;

/// What people say, in lower case, and what it means; the first that is found counts.
const MEANINGS: [(&str, Code, Hint); 19] = [
    ("a password is required", Code::NoSudo, Hint::Sudo),
    ("a terminal is required", Code::NoSudo, Hint::Sudo),
    ("you must have a tty", Code::NoSudo, Hint::Sudo),
    ("not in the sudoers", Code::NoSudo, Hint::Sudo),
    ("not allowed to execute", Code::NoSudo, Hint::Sudo),
    ("sudo: not found", Code::NoSudo, Hint::AsRoot),
    ("sudo: command not found", Code::NoSudo, Hint::AsRoot),
    ("unknown command: sudo", Code::NoSudo, Hint::AsRoot),
    ("remote host identification has changed", Code::Unreachable, Hint::KeyChanged),
    ("host key verification failed", Code::Unreachable, Hint::KeyUnknown),
    ("permission denied (", Code::Unreachable, Hint::Password),
    ("too many authentication failures", Code::Unreachable, Hint::Password),
    ("could not resolve", Code::Unreachable, Hint::Name),
    ("no space left", Code::PushFailed, Hint::Room),
    ("unrecognized subcommand 'agent'", Code::VersionSkew, Hint::Push),
    ("cannot execute binary file", Code::NoAgent, Hint::Machine),
    ("exec format error", Code::NoAgent, Hint::Machine),
    ("not found", Code::NoAgent, Hint::Push),
    ("unknown command", Code::NoAgent, Hint::Push),
];

/// What to do next.
#[derive(Clone, Copy)]
enum Hint {
    Sudo,
    AsRoot,
    KeyChanged,
    KeyUnknown,
    Password,
    Name,
    Room,
    Push,
    Machine,
    Reach,
}

impl Hint {
    fn text(self, host: &str) -> String {
        match self {
            Self::Sudo => {
                "sudo would ask for a password there, and nobody is there to type it; hostdiag explain no-sudo has the line for sudoers"
                    .into()
            }
            Self::AsRoot => format!("log in as root: root@{host}"),
            Self::KeyChanged => {
                "somebody else answers, or the host was installed anew; its administrator knows. Then: ssh-keygen -R HOST"
                    .into()
            }
            Self::KeyUnknown => format!("log in once by hand and compare its key: {}", by_hand(host)),
            Self::Password => {
                format!("a password or passphrase would be needed, which nobody is asked for: ssh-add, or ssh-copy-id {host}")
            }
            Self::Name => format!("is it spelled right? {}", by_hand(host)),
            Self::Room => "its folders for temporary files are full".into(),
            Self::Push => "--push brings hostdiag along and leaves nothing there".into(),
            Self::Machine => "hostdiag there is for another architecture".into(),
            Self::Reach => by_hand(host),
        }
    }
}

/// How the same is tried without us.
pub(super) fn by_hand(host: &str) -> String {
    format!("try it by hand: ssh {host} true")
}

/// ssh is not there, or cannot be started.
pub(super) fn not_started(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::new(Code::Unreachable, format!("failed to start {program}: {error}"))
        .hint("hosts are reached by OpenSSH's ssh: apt install openssh-client")
}

/// It ended: before or after it was there, with this status, having said that.
pub(super) fn ended(host: &str, was_there: bool, status: Option<i32>, said: &str) -> Failure {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).map(shortened);
    let with = |what: &str| match &last {
        Some(last) => format!("{host}: {what}: {last}"),
        None => format!("{host}: {what}"),
    };
    if was_there {
        return Failure::new(Code::RemoteFailed, with("it went away in the middle of the recording"));
    }
    match status {
        Some(NO_FOLDER) => {
            return Failure::new(Code::PushFailed, format!("{host}: no folder there to run a program from"))
                .hint("/dev/shm, /run/user, /var/tmp, /tmp and the home folder are full, read-only or mounted noexec; install hostdiag there");
        }
        Some(NOT_WHOLE) => {
            return Failure::new(Code::PushFailed, with("another program arrived there than was sent"))
                .hint(Hint::Room.text(host));
        }
        _ => {}
    }
    let lower = said.to_lowercase();
    let meaning = MEANINGS.iter().find(|(text, ..)| lower.contains(text));
    let (code, hint) = match (meaning, status) {
        (Some((_, code, hint)), _) => (*code, *hint),
        (None, Some(127 | 126)) => (Code::NoAgent, Hint::Push),
        (None, _) => (Code::Unreachable, Hint::Reach),
    };
    let what = match code {
        Code::NoSudo => "no root by sudo",
        Code::NoAgent => "no hostdiag there that runs",
        Code::VersionSkew => "the hostdiag there is too old to record for others",
        Code::PushFailed => "hostdiag could not be brought there",
        _ => "no connection",
    };
    Failure::new(code, with(what)).hint(hint.text(host))
}

/// What an agent says of itself.
pub(super) fn of_agent(host: &str, code: Option<&str>, message: String, hint: Option<String>) -> Failure {
    let known = Code::ALL.into_iter().find(|known| Some(known.as_str()) == code);
    let message = format!("{host}: {}", shortened(&message));
    let failure = Failure::new(known.unwrap_or(Code::RemoteFailed), message);
    match hint {
        Some(hint) => failure.hint(shortened(&hint)),
        None => failure,
    }
}

/// The beginning of what a host said, without what a terminal would obey.
pub(super) fn shortened(text: &str) -> String {
    let mut shown: String = hostdiag_report::page::harmless(text);
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_tells_why() {
        for (status, said, code) in [
            (1, "sudo: a password is required", Code::NoSudo),
            (127, "sh: 1: sudo: not found", Code::NoSudo),
            (255, "u@h: Permission denied (publickey,password).", Code::Unreachable),
            (255, "Host key verification failed.", Code::Unreachable),
            (255, "ssh: connect to host h port 22: Connection refused", Code::Unreachable),
            (127, "bash: line 1: hostdiag: command not found", Code::NoAgent),
            (1, "hostdiag: Command not found.", Code::NoAgent),
            (127, "", Code::NoAgent),
            (2, "error: unrecognized subcommand 'agent'", Code::VersionSkew),
            (93, "", Code::PushFailed),
            (94, "head: error writing: No space left on device", Code::PushFailed),
        ] {
            let failure = ended("h", false, Some(status), said);
            assert_eq!(failure.code, code, "{said}: {failure}");
            assert!(failure.hint.is_some(), "{said}");
        }
        let later = ended("h", true, Some(137), "Killed");
        assert_eq!(later.to_string(), "h: it went away in the middle of the recording: Killed");
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        let failure = of_agent("h", Some("no-bpf"), "\x1b[2J".to_owned() + &"x".repeat(1 << 20), None);
        assert_eq!(failure.code, Code::NoBpf);
        assert!(failure.message.len() < 400 && !failure.message.contains('\x1b'));
        assert_eq!(of_agent("h", Some("?"), String::new(), None).code, Code::RemoteFailed);
    }
}
