//! Which host this is.

use hostdiag_model::Host;
use nix::sys::utsname::uname;

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
