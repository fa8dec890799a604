//! Files of the kernel's own.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;

use memmap2::{Mmap, MmapOptions};

/// What a file of the kernel's holds that never changes.
#[derive(Debug)]
pub enum KernelFile {
    /// Its own pages: those of /sys/kernel/btf/vmlinux it maps since Linux 6.16
    /// (kernel/bpf/sysfs_btf.c), privately and to be read alone.
    Mapped(Mmap),
    /// A copy.
    Copied(Vec<u8>),
}

impl KernelFile {
    /// Opens one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: nobody writes to what the kernel was built with.
        match unsafe { MmapOptions::new().map_copy_read_only(&file) } {
            Ok(pages) => Ok(Self::Mapped(pages)),
            Err(_) => fs::read(path).map(Self::Copied),
        }
    }
}

impl Default for KernelFile {
    fn default() -> Self {
        Self::Copied(Vec::new())
    }
}

impl Deref for KernelFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(pages) => pages,
            Self::Copied(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_what_is_read() {
        // Files of /proc have no pages to map.
        for path in ["/sys/kernel/btf/vmlinux", "/proc/version"] {
            let file = KernelFile::open(path).unwrap();
            assert!(!file.is_empty() && *file == *fs::read(path).unwrap(), "{path}");
        }
        assert!(matches!(KernelFile::open("/proc/version").unwrap(), KernelFile::Copied(_)));
        assert_eq!(KernelFile::open("/proc/none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
