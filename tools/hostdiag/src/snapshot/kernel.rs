//! The kernel: release, command line, taint, configuration.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use hostdiag_model::snapshot::Area;
use nix::sys::utsname::uname;

use super::found::{Found, Key};

/// The largest configuration that is unpacked, in bytes.
const MAX_CONFIG: u64 = 4 << 20;

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    let key = |name| Key { area: Area::Kernel, of: None, name };
    let release = match uname() {
        Ok(names) => {
            let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
            found.value(key("release"), &text(names.release()));
            found.value(key("version"), &text(names.version()));
            text(names.release())
        }
        Err(error) => {
            found.unreadable(key("release"), &error.into());
            String::new()
        }
    };
    match found.text("/proc/cmdline") {
        Ok(text) => command_line(&text).iter().for_each(|(name, value)| {
            found.value(Key { area: Area::Kernel, of: Some("cmdline"), name }, value);
        }),
        Err(error) => found.unreadable(key("cmdline"), &error),
    }
    let taint = found.read("/proc/sys/kernel/tainted").map(|text| taint(text.trim().parse().unwrap_or(0)));
    found.result(key("taint"), taint);
    match config(found, &release) {
        Ok(text) => {
            for (name, value) in lines(&text) {
                found.value(Key { area: Area::Config, of: None, name }, value);
            }
        }
        Err(error) => found.unreadable(Key { area: Area::Config, of: None, name: "config" }, &error),
    }
}

/// Parameters by name; of one that is given several times all values. What is behind
/// `--` is for init.
fn command_line(text: &str) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for word in text.split_whitespace().take_while(|word| *word != "--") {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        all.entry(name.to_owned())
            .and_modify(|known| *known = format!("{known},{value}"))
            .or_insert_with(|| value.to_owned());
    }
    all
}

/// Of Documentation/admin-guide/tainted-kernels.rst: letter and meaning by bit.
const TAINTS: [(char, &str); 20] = [
    ('P', "proprietary module"),
    ('F', "module forced in"),
    ('S', "kernel out of specification"),
    ('R', "module forced out"),
    ('M', "machine check"),
    ('B', "bad page"),
    ('U', "set by a user"),
    ('D', "died: oops or BUG"),
    ('A', "ACPI table replaced"),
    ('W', "warning"),
    ('C', "staging driver"),
    ('I', "firmware bug worked around"),
    ('O', "out-of-tree module"),
    ('E', "unsigned module"),
    ('L', "soft lockup"),
    ('K', "live patch"),
    ('X', "set by the distribution"),
    ('T', "randomized structs"),
    ('N', "test"),
    ('J', "fwctl"),
];

/// The bits of /proc/sys/kernel/tainted in words.
fn taint(bits: u64) -> String {
    if bits == 0 {
        return "not tainted".into();
    }
    let set = (0..u64::BITS).filter(|bit| bits >> bit & 1 == 1);
    let word = |bit: u32| match TAINTS.get(bit as usize) {
        Some((letter, meaning)) => format!("{letter} ({meaning})"),
        None => format!("bit {bit}"),
    };
    set.map(word).collect::<Vec<_>>().join(", ")
}

/// The configuration the running kernel was built with.
fn config(found: &Found<'_>, release: &str) -> io::Result<String> {
    let packed = found.bytes("/proc/config.gz").and_then(|bytes| {
        let mut text = String::new();
        GzDecoder::new(&*bytes).take(MAX_CONFIG).read_to_string(&mut text)?;
        Ok(text)
    });
    packed
        .or_else(|_| found.text(&format!("/boot/config-{release}")))
        .or_else(|_| found.text(&format!("/lib/modules/{release}/config")))
}

/// `CONFIG_X=y` and `# CONFIG_X is not set`, which is `n`.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| match line.strip_prefix("# ") {
        Some(rest) => Some((rest.strip_suffix(" is not set")?, "n")),
        None => line.split_once('=').filter(|(name, _)| name.starts_with("CONFIG_")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_apart() {
        let all = command_line("BOOT_IMAGE=/vmlinuz ro console=tty0 console=ttyS0 mitigations=off -- x=1\n");
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected =
            [("BOOT_IMAGE", "/vmlinuz"), ("console", "tty0,ttyS0"), ("mitigations", "off"), ("ro", "")];
        assert_eq!(all, expected);
    }

    #[test]
    fn taint_is_named() {
        assert_eq!(taint(0), "not tainted");
        assert_eq!(taint(1 << 12 | 1 << 13), "O (out-of-tree module), E (unsigned module)");
        assert_eq!(taint(1 << 40), "bit 40");
    }

    #[test]
    fn what_is_not_set_is_n() {
        let text =
            "#\n# Automatically generated\n#\nCONFIG_HZ=250\n# CONFIG_KASAN is not set\nCONFIG_L=\"a=b\"\n";
        let all: Vec<_> = lines(text).collect();
        assert_eq!(all, [("CONFIG_HZ", "250"), ("CONFIG_KASAN", "n"), ("CONFIG_L", "\"a=b\"")]);
    }
}
