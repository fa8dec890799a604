//! /etc/ld.so.cache, in which the dynamic linker looks libraries up:
//! sysdeps/generic/dl-cache.h of glibc.

/// What the newer format begins with. In caches of before glibc 2.32 it is
/// behind the older one.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
/// Bytes of a header: magic, number of libraries, size of the strings, flags.
const HEADER: usize = 48;
/// Bytes of an entry: flags, offset of the name, offset of the path, and more.
const ENTRY: usize = 24;
/// Bytes of the older header and entry.
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
/// `FLAG_ELF_LIBC6 | FLAG_X8664_LIB64`: a library for x86_64.
const X86_64: u32 = 0x0303;

/// A library of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Library<'a> {
    /// As programs name it: `libc.so.6`.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a str,
}

/// The libraries for x86_64 in the order of the cache: of several of one name
/// the best comes first. Empty for what is no cache.
pub fn parse(cache: &[u8]) -> Vec<Library<'_>> {
    read(cache).unwrap_or_default()
}

fn read(cache: &[u8]) -> Option<Vec<Library<'_>>> {
    // Offsets of strings count from the newer header.
    let cache = if cache.starts_with(OLD_MAGIC) {
        let libraries = number(cache, OLD_MAGIC.len())? as usize;
        let old = libraries.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?.checked_next_multiple_of(8)?;
        cache.get(old..)?
    } else {
        cache
    };
    if !cache.starts_with(MAGIC) {
        return None;
    }
    let libraries = number(cache, MAGIC.len())? as usize;
    let entries = cache.get(HEADER..)?.chunks_exact(ENTRY).take(libraries);
    let library = |entry: &[u8]| {
        let string = |at| string(cache, number(entry, at)? as usize);
        (number(entry, 0)? == X86_64).then_some(())?;
        Some(Library { name: string(4)?, path: string(8)? })
    };
    Some(entries.filter_map(library).collect())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

fn string(cache: &[u8], at: usize) -> Option<&str> {
    // Longer ones are no paths.
    let most = nix::libc::PATH_MAX as usize;
    let rest = cache.get(at..)?;
    let end = rest.iter().take(most).position(|&byte| byte == 0)?;
    std::str::from_utf8(&rest[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache of one library, its strings behind the entry.
    fn cache(flags: u32) -> Vec<u8> {
        let mut cache = MAGIC.to_vec();
        cache.extend(1_u32.to_le_bytes());
        cache.resize(HEADER, 0);
        let strings = (HEADER + ENTRY) as u32;
        for number in [flags, strings, strings + 7, 0, 0, 0] {
            cache.extend(number.to_le_bytes());
        }
        cache.extend(b"liba.so\0".iter().take(6).chain(b"\0/l/liba.so\0"));
        cache
    }

    #[test]
    fn libraries_of_both_formats_are_read() {
        let library = Library { name: "liba.s", path: "/l/liba.so" };
        assert_eq!(parse(&cache(X86_64)), [library]);
        assert_eq!(parse(&cache(0x0003)), [], "of 32 bits");
        let mut old = OLD_MAGIC.to_vec();
        old.extend(1_u32.to_le_bytes());
        old.resize(32, 0);
        old.extend(cache(X86_64));
        assert_eq!(parse(&old), [library]);
    }

    #[test]
    fn a_damaged_cache_is_empty() {
        let whole = cache(X86_64);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), [], "{length} bytes");
        }
    }
}
