//! A folder of a test, which ends with its guard.

use std::fs;
use std::path::{Path, PathBuf};

pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// `name` is that of the test: others run at the same time.
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hostdiag-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
