//! Modules of the kernel, and parameters of those and of what is built in.

use hostdiag_model::snapshot::Area;

use super::found::{Found, Key};
use super::table;

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    match found.text("/proc/modules") {
        Ok(text) => modules(&text).for_each(|(module, state, taint)| {
            let key = |name| Key { area: Area::Module, of: Some(module), name };
            found.value(key("(state)"), state);
            if let Some(taint) = taint {
                found.value(key("(taint)"), taint);
            }
        }),
        Err(error) => found.unreadable(Key { area: Area::Module, of: None, name: "modules" }, &error),
    }
    table::add(found, (Area::Module, "/sys/module/*/version", "(version)"));
    table::add(found, (Area::Module, "/sys/module/*/parameters/*", "*"));
}

/// Name, state and taint of `NAME SIZE USES USERS STATE ADDRESS [(TAINT)]`.
fn modules(text: &str) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
    text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (name, state) = (words.next()?, words.nth(3)?);
        let taint = words.nth(1).and_then(|word| word.strip_prefix('(')?.strip_suffix(')'));
        Some((name, state, taint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_its_state_and_taint() {
        let text = "veth 45056 0 - Live 0xffffffffc0a0c000\nzfs 6 3 zcommon,spl, Loading 0x0 (POE)\nbroken\n";
        let all: Vec<_> = modules(text).collect();
        assert_eq!(all, [("veth", "Live", None), ("zfs", "Loading", Some("POE"))]);
    }
}
