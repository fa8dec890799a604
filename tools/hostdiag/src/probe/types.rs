//! What the kernel's own types, BTF, tell of how to attach.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;

use hostdiag_model::trace::Mechanism;
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::{Func, Struct};
use libbpf_rs::query::BtfInfoIter;

use super::discover::Key;
use super::module_types::{self, Base};
use super::plan::{Sides, UserMulti};
use super::{doctor, quietly};
use crate::sys::TypeId;

/// The kernel's own types, where it has them.
pub struct Types(Option<Btf<'static>>);

impl Types {
    /// Reads them.
    pub fn read() -> Self {
        Self(quietly(|| Btf::from_vmlinux().ok()).0)
    }

    /// Whether the kernel has kprobe.multi. A type of its own tells; programs
    /// load, and its other names are there, without CONFIG_FPROBE too.
    pub fn multi(&self) -> bool {
        self.0.as_ref().is_some_and(|btf| btf.type_by_name::<Struct<'_>>("bpf_kprobe_multi_link").is_some())
    }

    /// Ways to attach to many functions in one go, best first. That a kernel has
    /// sessions is known only once one is attached; without this function, which
    /// their programs call, it has none.
    pub fn mass(&self, sides: Sides) -> Vec<Mechanism> {
        let session = || {
            self.0.as_ref().is_some_and(|btf| btf.type_by_name::<Func<'_>>("bpf_session_cookie").is_some())
        };
        match (self.multi(), sides) {
            (false, _) => Vec::new(),
            (true, Sides::Both) if session() => vec![Mechanism::KprobeSession, Mechanism::KprobeMulti],
            (true, _) => vec![Mechanism::KprobeMulti],
        }
    }

    /// Whether a trampoline stays while a call is in it: this type came with that
    /// (e21aa341785c, Linux 5.12 and stable kernels).
    pub fn keep_trampolines(&self) -> bool {
        self.0.as_ref().is_some_and(|btf| btf.type_by_name::<Struct<'_>>("bpf_tramp_image").is_some())
    }

    /// Whether a program behind a trampoline can be entered again while it runs. A
    /// kernel that keeps it from that also counts it (ca06f55b9002 and 9ed9e9ba2337,
    /// Linux 5.12).
    pub fn let_programs_in_again(&self) -> bool {
        let info = self.0.as_ref().and_then(|btf| btf.type_by_name::<Struct<'_>>("bpf_prog_info"));
        !info.is_some_and(|info| {
            info.iter().any(|member| member.name.is_some_and(|name| name == "recursion_misses"))
        })
    }

    /// Whether the kernel has uprobe.multi, told by a type of its own, and whether one
    /// of a single process is of all its threads, which nothing but trying tells.
    pub fn user_multi(&self, single: bool) -> UserMulti {
        let has = |btf: &Btf<'_>| btf.type_by_name::<Struct<'_>>("bpf_uprobe_multi_link").is_some();
        match self.0.as_ref().is_some_and(has) {
            false => UserMulti::Absent,
            true if single && doctor::uprobe_multi().is_ok_and(|whole| !whole) => UserMulti::OneThread,
            true => UserMulti::Works,
        }
    }

    /// What these functions are, as far as the kernel and its modules tell.
    pub fn ids<'a>(&self, keys: impl Iterator<Item = &'a Key> + Clone) -> HashMap<Key, TypeId> {
        let names_of = |module: Option<&OsStr>| {
            let here = keys.clone().filter(move |key| key.1.as_deref().map(OsStr::new) == module);
            here.map(|(name, _)| name.as_str()).collect::<HashSet<&str>>()
        };
        let of_kernel = names_of(None);
        let found = self.functions(|name| of_kernel.contains(name)).into_iter();
        let mut ids: HashMap<Key, TypeId> =
            found.map(|(name, number)| ((name, None), TypeId { number, module: None })).collect();
        if keys.clone().all(|(_, module)| module.is_none()) {
            return ids;
        }
        let mut objects = BtfInfoIter::default();
        // The kernel itself has the first number.
        let Some(kernel) = objects.next().filter(|object| object.name == "vmlinux") else { return ids };
        let Some(base) = Base::of(&kernel.btf) else { return ids };
        for object in objects {
            let wanted = names_of(Some(&object.name));
            if wanted.is_empty() {
                continue;
            }
            let found = module_types::functions(&object.btf, base, |name| wanted.contains(name));
            for (name, number) in found.unwrap_or_default() {
                let key = (name, object.name.to_str().map(String::from));
                ids.insert(key, TypeId { number, module: Some(object.id) });
            }
        }
        ids
    }

    /// Whether a trampoline for a function of a module is put into that module: before
    /// 31bf1dbccfb0 (Linux 6.4) it was put into the first function of that name, of
    /// whatever module. That change needed this field.
    pub fn keep_to_module(&self) -> bool {
        let program = self.0.as_ref().and_then(|btf| btf.type_by_name::<Struct<'_>>("bpf_prog_aux"));
        program
            .is_some_and(|program| program.iter().any(|field| field.name.is_some_and(|name| name == "mod")))
    }

    /// Ids of functions of the kernel that are wanted, by name.
    pub fn functions(&self, wanted: impl Fn(&str) -> bool) -> HashMap<String, u32> {
        let Some(btf) = &self.0 else { return HashMap::new() };
        btf.type_by_kind::<Func<'_>>()
            .filter_map(|function| {
                let name = function.name()?.to_str().filter(|name| wanted(name))?;
                Some((name.to_owned(), u32::from(function.type_id())))
            })
            .collect()
    }
}
