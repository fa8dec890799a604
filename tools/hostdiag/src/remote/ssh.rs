//! The system's ssh: how it is called, and nothing of what it decides.

use std::process::{Command, Stdio};

use super::target::Place;
use super::{Options, push};

/// What is run on the host: constant, and read alike by sh, csh, tcsh and fish.
const AGENT: &str = "hostdiag agent";
/// The same as root.
const AGENT_AS_ROOT: &str = "sudo -n hostdiag agent";

/// Options that hold for every host. The user's own configuration, keys and known hosts
/// stay in force; what would forward something, share or outlive the connection is off.
/// Nobody is asked anything: many hosts at once would ask across one another.
const ALWAYS: [&str; 14] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "Tunnel=no",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "EscapeChar=none",
    "ControlMaster=no",
    "ControlPath=none",
    "LogLevel=ERROR",
];
/// Options, and since which version of OpenSSH it knows them: it refuses those that it
/// does not know, and where it does not, nobody's configuration has them.
const SINCE: [((u32, u32), &str); 4] = [
    ((7, 6), "RemoteCommand=none"),
    ((8, 7), "StdinNull=no"),
    ((8, 7), "SessionType=default"),
    ((8, 7), "ForkAfterAuthentication=no"),
];

/// How an agent on this host is started.
pub(super) fn local() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("agent");
    command
}

/// How ssh is started for a host.
pub(super) fn command(place: &Place, options: Options) -> Command {
    let Place::Ssh { user, host, port } = place else { return local() };
    let mut ssh = Command::new("ssh");
    ssh.arg("-T");
    let version = version();
    let known = SINCE.iter().filter(|(since, _)| *since <= version).map(|(_, option)| option);
    for option in ALWAYS.iter().chain(known) {
        ssh.args(["-o", option]);
    }
    if let Some(port) = port {
        ssh.args(["-p", &port.to_string()]);
    }
    if let Some(user) = user {
        ssh.args(["-l", user]);
    }
    ssh.args(["--", host]);
    match (options.push, options.sudo) {
        (false, false) => ssh.arg(AGENT),
        (false, true) => ssh.arg(AGENT_AS_ROOT),
        (true, sudo) => ssh.arg(push::line(sudo)),
    };
    ssh
}

/// The version of ssh; 0.0 where it does not tell.
fn version() -> (u32, u32) {
    let output = Command::new("ssh").arg("-V").stdin(Stdio::null()).output();
    output.ok().and_then(|output| parse(&String::from_utf8_lossy(&output.stderr))).unwrap_or_default()
}

/// `OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15 3 Sep 2024`
fn parse(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.split_once("OpenSSH_")?;
    // Windows' has for_Windows_ before the numbers.
    let mut numbers =
        version.trim_start_matches(|c: char| !c.is_ascii_digit()).split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_ssh_is_read() {
        assert_eq!(parse("OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15"), Some((9, 2)));
        assert_eq!(parse("OpenSSH_10.0p2, LibreSSL"), Some((10, 0)));
        assert_eq!(parse("dropbear"), None);
    }
}
