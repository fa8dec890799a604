//! Names of addresses of the kernel, asked of the kernel itself: bpf/ksym.bpf.c. Few of
//! its functions appear in stacks, and /proc/kallsyms takes longer to read than all the
//! rest of a profile.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use self::skel::KsymSkelBuilder;
use super::quietly;
use super::skeleton::skeleton;
use crate::symbol::{Name, Symbol};
use crate::sys;

skeleton!("ksym");

/// Bytes before the name in `struct ksym`, bpf/hostdiag.h, and of it all.
const HEAD: usize = 16;
const BYTES: usize = HEAD + 384;

/// The kernel, which answers.
pub struct Ksyms {
    name: OwnedFd,
    /// Where its own code ends: the symbol `_etext`.
    end: u64,
}

impl Ksyms {
    /// Loads the programs; nothing where this kernel, or its settings, do not let us.
    pub fn open() -> Option<Self> {
        let load = || {
            let mut storage = MaybeUninit::uninit();
            let skel = KsymSkelBuilder::default().open(&mut storage)?.load()?;
            let keep = |program: std::os::fd::BorrowedFd<'_>| program.try_clone_to_owned();
            anyhow::Ok((keep(skel.progs.name_of.as_fd())?, keep(skel.progs.end_of_code.as_fd())?))
        };
        let (loaded, _) = quietly(load);
        let (name, end) = loaded.ok()?;
        let answer = ask(&end, 0)?;
        let end = u64::from_ne_bytes(*answer.first_chunk()?);
        (end > 0).then_some(Self { name, end })
    }

    /// The function that an address is in. Never inlined ones, which take debug
    /// information.
    pub fn find(&self, address: u64) -> Symbol {
        let answer = ask(&self.name, address);
        let found = answer.as_ref().and_then(decode);
        // Data are no functions.
        let found = found.filter(|symbol| symbol.module.is_some() || address < self.end);
        found.unwrap_or_else(Symbol::uncovered)
    }
}

fn ask(program: &OwnedFd, address: u64) -> Option<[u8; BYTES]> {
    let mut question = [0; BYTES];
    *question.first_chunk_mut()? = address.to_ne_bytes();
    sys::run_program(program.as_fd(), &mut question).ok()?;
    Some(question)
}

/// `struct ksym` with an answer; nothing where there is no name in it, or no whole one.
fn decode(answer: &[u8; BYTES]) -> Option<Symbol> {
    let length = i64::from_ne_bytes(*answer.get(8..)?.first_chunk()?);
    // With the byte behind it, which is in `length`, it has room.
    let text = answer.get(HEAD..BYTES - 1)?.get(..usize::try_from(length).ok()?.checked_sub(1)?)?;
    symbol(std::str::from_utf8(text).ok()?)
}

/// `NAME+OFFSET/SIZE[ [MODULE]]` (__sprint_symbol, kernel/kallsyms.c).
fn symbol(text: &str) -> Option<Symbol> {
    let (place, module) = match text.split_once(" [") {
        Some((place, module)) => (place, Some(module.strip_suffix(']')?)),
        None => (text, None),
    };
    let (function, place) = place.rsplit_once("+0x")?;
    let offset = u64::from_str_radix(place.split_once("/0x")?.0, 16).ok()?;
    // The module that /proc/kallsyms has for them.
    let module = module.or_else(|| is_program(function).then_some("bpf"));
    Some(Symbol {
        name: Ok(Name { function: function.into(), offset: Some(offset), inlined: Vec::new() }),
        module: module.map(Arc::from),
    })
}

/// Whether it is the name of a BPF program or of a trampoline (bpf_get_prog_name,
/// kernel/bpf/core.c; kernel/bpf/trampoline.c), as no function of the kernel is called.
fn is_program(name: &str) -> bool {
    let tagged = |rest: &str| {
        let tag = rest.split('_').next().unwrap_or_default();
        tag.len() == 16 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let numbered = |rest: &str| rest.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    name.strip_prefix("bpf_prog_").is_some_and(tagged)
        || name.strip_prefix("bpf_trampoline_").is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(Arc<str>, u64, Option<Arc<str>>)> {
        let symbol = symbol(text)?;
        let name = symbol.name.ok()?;
        Some((name.function, name.offset?, symbol.module))
    }

    #[test]
    fn a_name_has_its_offset_and_its_module() {
        let own = |name: &str, offset| Some((name.into(), offset, None));
        assert_eq!(found("schedule+0x0/0xd0"), own("schedule", 0));
        assert_eq!(found("do_work.isra.0+0x1f/0x100"), own("do_work.isra.0", 0x1f));
        let module = found("veth_xmit+0x10/0x20 [veth]");
        assert_eq!(module, Some(("veth_xmit".into(), 16, Some("veth".into()))));
        for none in ["", "0xffffffffc0000000", "schedule", "schedule+0x1", "f+0x1/0x2 [m"] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn programs_are_told_from_functions_that_handle_them() {
        for text in
            ["bpf_prog_6deef7357e7b4530", "bpf_prog_6deef7357e7b4530_sample", "bpf_trampoline_17179870000"]
        {
            assert!(is_program(text), "{text}");
        }
        for text in ["bpf_prog_run", "bpf_prog_get_type_path", "bpf_trampoline_enter", "schedule"] {
            assert!(!is_program(text), "{text}");
        }
    }

    #[test]
    fn a_name_that_was_cut_is_none() {
        let mut answer = [b'x'; BYTES];
        answer[HEAD..][..18].copy_from_slice(b"schedule+0x0/0xd0\0");
        let mut length = |length: i64| {
            answer[8..16].copy_from_slice(&length.to_ne_bytes());
            decode(&answer).is_some()
        };
        assert!(length(18));
        assert!(![-22, 0, 1, 385, i64::MAX].into_iter().any(&mut length));
    }
}
