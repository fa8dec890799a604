//! What libbpf has of an object that is not loaded yet.

use std::io;

use libbpf_rs::libbpf_sys::{self, bpf_insn};
use libbpf_rs::{AsRawLibbpf, OpenObject, OpenProgramMut};

/// BTF of an object's programs; empty where it has none.
pub fn object_types(object: &OpenObject) -> &[u8] {
    let mut length = 0;
    // SAFETY: libbpf only reads the object.
    let btf = unsafe { libbpf_sys::bpf_object__btf(object.as_libbpf_object().as_ptr()) };
    if btf.is_null() {
        return &[];
    }
    // SAFETY: the types are there as long as the object, and libbpf writes the length.
    let bytes = unsafe { libbpf_sys::btf__raw_data(btf, &raw mut length) };
    if bytes.is_null() {
        return &[];
    }
    // SAFETY: there are so many of them, as long as the object is there.
    unsafe { std::slice::from_raw_parts(bytes.cast(), length as usize) }
}

/// Has libbpf make the maps, and relocate the programs that are on without loading them: those
/// that are attached are loaded from their instructions ([`super::load_program`]).
///
/// # Errors
/// Those of making a map, `EPERM` without privilege, what the kernel's types lack.
pub fn relocate(object: &mut OpenObject) -> io::Result<()> {
    // SAFETY: libbpf has opened the object, nobody else has it, and it may be loaded after that.
    let result = unsafe { libbpf_sys::bpf_object__prepare(object.as_libbpf_object().as_ptr()) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    for mut program in object.progs_mut() {
        program.set_autoload(false);
    }
    Ok(())
}

/// Sets the instructions of a program, as many as there were: relocations go by the place.
///
/// # Errors
/// No memory; `EBUSY` once it is loaded.
pub fn set_instructions(program: &mut OpenProgramMut<'_>, instructions: &mut [bpf_insn]) -> io::Result<()> {
    let program = program.as_libbpf_object().as_ptr();
    let (first, count) = (instructions.as_mut_ptr(), instructions.len() as libbpf_sys::size_t);
    // SAFETY: libbpf copies `count` instructions.
    let result = unsafe { libbpf_sys::bpf_program__set_insns(program, first, count) };
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}
