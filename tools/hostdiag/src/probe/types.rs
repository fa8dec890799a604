//! What the kernel's own types, BTF, tell of how to attach.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;

use hostdiag_model::trace::Mechanism;
use libbpf_rs::query::BtfInfoIter;

use super::btf;
use super::btf::raw::{Btf, FUNCTION, STRUCT};
use super::discover::Key;
use super::doctor;
use super::kfunc::Kfuncs;
use super::plan::{Sides, UserMulti};
use crate::sys::{KernelFile, TypeId};

/// The kernel's own types, where it has them.
#[derive(Debug, Default)]
pub struct Types {
    btf: KernelFile,
    /// Names of [`SIGNS`] that are there.
    signs: HashSet<&'static str>,
    /// Functions that programs may call.
    kfuncs: Kfuncs,
}

/// Types, functions and members, as `struct.member`, that tell what a kernel can do.
const SIGNS: [(u32, &str); 6] = [
    (STRUCT, "bpf_kprobe_multi_link"),
    (STRUCT, "bpf_uprobe_multi_link"),
    (STRUCT, "bpf_tramp_image"),
    (FUNCTION, "bpf_session_cookie"),
    (STRUCT, "bpf_prog_info.recursion_misses"),
    (STRUCT, "bpf_prog_aux.mod"),
];

impl Types {
    /// Reads them.
    pub fn read() -> Self {
        let btf = KernelFile::open(super::BTF).unwrap_or_default();
        let (signs, kfuncs) = Btf::of(&btf).and_then(signs).unwrap_or_default();
        Self { btf, signs, kfuncs }
    }

    fn has(&self, sign: &str) -> bool {
        self.signs.contains(sign)
    }

    /// The functions of the kernel that programs call.
    pub fn kfuncs(&self) -> Kfuncs {
        self.kfuncs
    }

    /// Whether the kernel has kprobe.multi. A type of its own tells; programs
    /// load, and its other names are there, without CONFIG_FPROBE too.
    pub fn multi(&self) -> bool {
        self.has("bpf_kprobe_multi_link")
    }

    /// Whether it also counts the calls that it misses, which came with Linux 6.7 and
    /// nothing in BTF tells; this function came with 6.10.
    pub fn multi_tells_missed(&self) -> bool {
        self.multi() && self.has("bpf_session_cookie")
    }

    /// Ways to attach to many functions in one go, best first. That a kernel has
    /// sessions is known only once one is attached; without this function, which
    /// their programs call, it has none.
    pub fn mass(&self, sides: Sides) -> Vec<Mechanism> {
        match (self.multi(), sides) {
            (false, _) => Vec::new(),
            (true, Sides::Both) if self.has("bpf_session_cookie") => {
                vec![Mechanism::KprobeSession, Mechanism::KprobeMulti]
            }
            (true, _) => vec![Mechanism::KprobeMulti],
        }
    }

    /// Whether a trampoline stays while a call is in it: this type came with that
    /// (e21aa341785c, Linux 5.12 and stable kernels).
    pub fn keep_trampolines(&self) -> bool {
        self.has("bpf_tramp_image")
    }

    /// Whether a program behind a trampoline can be entered again while it runs. A
    /// kernel that keeps it from that also counts it (ca06f55b9002 and 9ed9e9ba2337,
    /// Linux 5.12).
    pub fn let_programs_in_again(&self) -> bool {
        !self.has("bpf_prog_info.recursion_misses")
    }

    /// Whether the kernel has uprobe.multi, told by a type of its own, and whether one
    /// of a single process is of all its threads, which nothing but trying tells.
    pub fn user_multi(&self, single: bool) -> UserMulti {
        match self.has("bpf_uprobe_multi_link") {
            false => UserMulti::Absent,
            true if single && doctor::uprobe_multi().is_ok_and(|whole| !whole) => UserMulti::OneThread,
            true => UserMulti::Works,
        }
    }

    /// What these functions are, as far as the kernel and its modules tell.
    pub fn ids<'a>(&self, keys: impl Iterator<Item = &'a Key> + Clone) -> HashMap<Key, TypeId> {
        let names_of = |module: Option<&OsStr>| {
            let here = keys.clone().filter(move |key| key.1.as_deref().map(OsStr::new) == module);
            let mut names: Vec<&str> = here.map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            names
        };
        let of_kernel = names_of(None);
        let found = self.functions(|name| of_kernel.binary_search(&name).is_ok()).into_iter();
        let mut ids: HashMap<Key, TypeId> =
            found.map(|(name, number)| ((name, None), TypeId { number, module: None })).collect();
        if keys.clone().all(|(_, module)| module.is_none()) {
            return ids;
        }
        let Some(kernel) = btf::Types::of(&self.btf, None) else { return ids };
        for object in BtfInfoIter::default().filter(|object| object.name != "vmlinux") {
            let wanted = names_of(Some(&object.name));
            if wanted.is_empty() {
                continue;
            }
            let types = btf::Types::of(&object.btf, Some(&kernel));
            let found =
                types.iter().flat_map(|types| types.functions(|name| wanted.binary_search(&name).is_ok()));
            for (number, name) in found {
                let key = (name.to_owned(), object.name.to_str().map(String::from));
                ids.insert(key, TypeId { number, module: Some(object.id) });
            }
        }
        ids
    }

    /// Whether a trampoline for a function of a module is put into that module: before
    /// 31bf1dbccfb0 (Linux 6.4) it was put into the first function of that name, of
    /// whatever module. That change needed this field.
    pub fn keep_to_module(&self) -> bool {
        self.has("bpf_prog_aux.mod")
    }

    /// Ids of functions of the kernel that are wanted, by name.
    pub fn functions(&self, wanted: impl Fn(&str) -> bool) -> HashMap<String, u32> {
        let Some(btf) = Btf::of(&self.btf) else { return HashMap::new() };
        let (mut number, mut found) = (0, HashMap::new());
        let read = btf.walk(|one| {
            number += 1;
            let function = (one.kind == FUNCTION).then(|| btf.name(one)).flatten();
            if let Some(name) = function.filter(|name| wanted(name)) {
                found.insert(name.to_owned(), number);
            }
        });
        // Of what is not understood, nothing is believed.
        if read.is_some() { found } else { HashMap::new() }
    }
}

/// Which of [`SIGNS`] are there, and functions that programs call, in one pass: there are
/// some 100,000 types. Absent where they are not understood.
fn signs(btf: Btf<'_>) -> Option<(HashSet<&'static str>, Kfuncs)> {
    let (mut number, mut found, mut kfuncs) = (0, HashSet::new(), Kfuncs::default());
    btf.walk(|one| {
        number += 1;
        if !matches!(one.kind, STRUCT | FUNCTION) || !btf.begins(one, "bpf_") {
            return;
        }
        let Some(name) = btf.name(one) else { return };
        if one.kind == FUNCTION {
            kfuncs.add(number, name);
        }
        for (_, sign) in SIGNS.iter().filter(|(kind, _)| *kind == one.kind) {
            let here = match sign.split_once('.') {
                None => *sign == name,
                Some((structure, member)) => structure == name && btf.has_member(one, member),
            };
            if here {
                found.insert(*sign);
            }
        }
    })?;
    Some((found, kfuncs))
}

#[cfg(test)]
mod tests {
    use libbpf_rs::btf::Btf as Libbpf;
    use libbpf_rs::btf::types::{Func, Struct};

    use super::*;

    /// Against what libbpf reads of the kernel at hand.
    #[test]
    fn signs_and_functions_are_those_that_libbpf_finds() {
        let (types, libbpf) = (Types::read(), Libbpf::from_vmlinux().unwrap());
        for (kind, sign) in SIGNS {
            let (name, member) = sign.split_once('.').map_or((sign, None), |(name, of)| (name, Some(of)));
            let there = match (kind, member) {
                (FUNCTION, _) => libbpf.type_by_name::<Func<'_>>(name).is_some(),
                (_, None) => libbpf.type_by_name::<Struct<'_>>(name).is_some(),
                (_, Some(member)) => libbpf
                    .type_by_name::<Struct<'_>>(name)
                    .is_some_and(|of| of.iter().any(|one| one.name.is_some_and(|name| name == member))),
            };
            assert_eq!(types.has(sign), there, "{sign}");
        }
        assert!(types.has("bpf_prog_info.recursion_misses"), "every kernel that this is built on has it");
        let all = types.functions(|_| true);
        let theirs = libbpf.type_by_kind::<Func<'_>>();
        let mut count = 0;
        for function in theirs {
            count += 1;
            let name = function.name().unwrap().to_str().unwrap();
            assert!(all.contains_key(name), "{name}");
        }
        assert!(count >= all.len() && all.len() > 10_000);
    }
}
