//! Which host this is.

use hostdiag_model::{Data, Host, Recording};
use nix::sys::utsname::uname;

use crate::offload::from::now_ms;

/// The host hostdiag runs on.
pub fn this() -> Host {
    let Ok(names) = uname() else { return Host::default() };
    let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    Host {
        name: text(names.nodename()),
        kernel: Some(text(names.release())),
        machine: Some(text(names.machine())),
        os: os_name(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
    }
}

/// A recording of this host that begins now.
pub fn recording(command: &str, data: Data) -> Recording {
    Recording {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        command: command.to_owned(),
        host: this(),
        started_ms: now_ms(),
        elapsed_ms: None,
        side: None,
        loss: Vec::new(),
        data,
    }
}

/// `PRETTY_NAME` of the text of os-release(5).
fn os_name(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_system_stands_in_os_release() {
        assert_eq!(
            os_name("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n").unwrap(),
            "Debian GNU/Linux 12"
        );
        assert_eq!(os_name("ID=x\n"), None);
    }
}
