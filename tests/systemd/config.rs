//! Configuration as an administrator writes it, for one test's time.
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file that is gone when the guard drops. Who reads it has to be told: see
/// the functions of this module.
pub(crate) struct ConfigFile(PathBuf);

impl ConfigFile {
    /// `mode` as NetworkManager wants it for keyfiles (0600), hooks need it
    /// (0755) and all others have it (0644).
    #[track_caller]
    pub(crate) fn write(path: impl AsRef<Path>, mode: u32, text: &str) -> Self {
        let path = path.as_ref();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        ConfigFile(path.to_owned())
    }

    /// A .link file: udev applies it to devices that appear from now on.
    #[track_caller]
    pub(crate) fn link(name: &str, text: &str) -> Self {
        let file = Self::write(format!("/etc/systemd/network/{name}.link"), 0o644, text);
        crate::lab::run("udevadm", &["control", "--reload"]);
        file
    }

    /// A stanza of ifupdown: `ifup` applies it.
    #[track_caller]
    pub(crate) fn interfaces(name: &str, text: &str) -> Self {
        Self::write(format!("/etc/network/interfaces.d/{name}"), 0o644, text)
    }

    /// A hook of ifupdown, run after an interface came up.
    #[track_caller]
    pub(crate) fn if_up_hook(name: &str, script: &str) -> Self {
        Self::write(format!("/etc/network/if-up.d/{name}"), 0o755, script)
    }

    /// A connection of NetworkManager: `nmcli connection up` applies it, in a
    /// NetworkManager that is running.
    #[track_caller]
    pub(crate) fn keyfile(name: &str, text: &str) -> Self {
        Self::write(format!("/etc/NetworkManager/system-connections/{name}.nmconnection"), 0o600, text)
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        // A file that the test removed itself is as good.
        let _ = fs::remove_file(&self.0);
    }
}
