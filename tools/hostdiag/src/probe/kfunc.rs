//! Functions of the kernel that programs call (kfuncs): each kernel has numbers of its
//! own for them, which go into the programs before these are loaded.

use libbpf_rs::OpenObject;
use libbpf_rs::libbpf_sys::bpf_insn;

use super::btf::{Id, Types};
use crate::sys;

/// In the order of their numbers in bpf/compat.bpf.h, from 1.
const NAMES: [&str; 4] =
    ["bpf_session_is_return", "bpf_session_cookie", "bpf_preempt_disable", "bpf_preempt_enable"];

/// Functions of this kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kfuncs([Option<Id>; NAMES.len()]);

impl Kfuncs {
    /// Those that the kernel's types have.
    pub fn of(kernel: &Types<'_>) -> Self {
        let mut found = Self::default();
        kernel.functions(|name| NAMES.contains(&name)).for_each(|(id, name)| found.add(id, name));
        found
    }

    /// Takes note of a function of the kernel, if it is one of them.
    pub fn add(&mut self, id: Id, name: &str) {
        if let Some(place) = NAMES.iter().position(|known| *known == name) {
            self.0[place] = Some(id);
        }
    }

    /// Whether a program can keep itself from being preempted.
    pub fn preempt(self) -> bool {
        self.0[2..].iter().all(Option::is_some)
    }

    /// Puts them into all programs of an object that is not loaded yet.
    ///
    /// # Errors
    /// libbpf has no memory.
    pub fn put_into(self, object: &mut OpenObject) -> std::io::Result<()> {
        for mut program in object.progs_mut() {
            let mut instructions = program.insns().to_vec();
            if self.number(&mut instructions) > 0 {
                sys::set_instructions(&mut program, &mut instructions)?;
            }
        }
        Ok(())
    }

    /// How many calls there were. What this kernel does not have is no call any more: the
    /// verifier of older ones knows none.
    fn number(self, instructions: &mut [bpf_insn]) -> usize {
        const CALL: u8 = 0x85;
        /// `BPF_PSEUDO_KFUNC_CALL`, include/uapi/linux/bpf.h.
        const KFUNC: u8 = 2;
        /// `r0 = 0`: BPF_ALU64 | BPF_MOV | BPF_K.
        const ZERO: u8 = 0xb7;
        let mut calls = 0;
        let kfuncs = instructions.iter_mut().filter(|one| one.code == CALL && one.src_reg() == KFUNC);
        for call in kfuncs {
            let place = usize::try_from(call.imm).ok().and_then(|number| number.checked_sub(1));
            let id = place.and_then(|place| *self.0.get(place)?);
            *call = match id {
                Some(id) => bpf_insn { imm: id.cast_signed(), ..*call },
                None => bpf_insn { code: ZERO, ..bpf_insn::default() },
            };
            calls += 1;
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(source: u8, imm: i32) -> bpf_insn {
        let mut call = bpf_insn { code: 0x85, imm, ..bpf_insn::default() };
        call.set_src_reg(source);
        call
    }

    #[test]
    fn a_call_has_the_number_of_its_kernel_or_is_none() {
        let kernel = Kfuncs([None, None, Some(700), Some(800)]);
        // A helper, which has the number of a kfunc; two of these; one that is not there.
        let mut program = [call(0, 3), call(2, 3), call(2, 4), call(2, 1)];
        assert_eq!(kernel.number(&mut program), 3);
        let codes = program.map(|one| (one.code, one.src_reg(), one.imm));
        assert_eq!(codes, [(0x85, 0, 3), (0x85, 2, 700), (0x85, 2, 800), (0xb7, 0, 0)]);
        assert!(kernel.preempt() && !Kfuncs([None, None, Some(700), None]).preempt());
    }
}
