//! One spelling for the names of kernel functions, so that those of two kernels
//! can be compared: compilers append suffixes, the kernel spelt system calls in
//! several ways, and some functions have another name since.

use std::borrow::Cow;

/// `old new`, a line each; `#` begins a comment.
const RENAMES: &str = include_str!("renames.txt");

/// What compilers and the kernel's own macros put behind a name. GCC: `.isra`,
/// `.constprop`, `.part`, `.cold`, `.lto_priv`, `.localalias`; Clang: `.llvm`. A number
/// may follow each.
const SUFFIXES: [&str; 7] = [".isra", ".constprop", ".part", ".cold", ".lto_priv", ".localalias", ".llvm"];

/// Prefixes of system calls: `sys_x` until 4.16, `SyS_x` the same by its other
/// name, since then one by architecture (arch/*/include/asm/syscall_wrapper.h).
const SYSTEM_CALLS: [&str; 5] = ["SyS_", "__x64_sys_", "__ia32_sys_", "__arm64_sys_", "__riscv_sys_"];

/// The spelling that functions are compared by; names of other things stay as
/// they are.
pub fn canonical(name: &str) -> Cow<'_, str> {
    let stem = stem(name);
    for prefix in SYSTEM_CALLS {
        if let Some(call) = stem.strip_prefix(prefix) {
            return Cow::Owned(format!("sys_{call}"));
        }
    }
    Cow::Borrowed(renamed(stem))
}

/// Without an offset and what the compiler appended.
fn stem(name: &str) -> &str {
    let mut stem = name.split_once("+0x").map_or(name, |(function, _)| function);
    // perf marks frames of the kernel, inlined and compiled ones: `_[k]`.
    for mark in ["_[k]", "_[i]", "_[j]"] {
        stem = stem.strip_suffix(mark).unwrap_or(stem);
    }
    while let Some(at) = stem.rfind('.').filter(|at| *at > 0) {
        let number = stem[at + 1..].bytes().all(|byte| byte.is_ascii_digit());
        let suffix = SUFFIXES.contains(&&stem[at..]);
        let numbered = number && SUFFIXES.iter().any(|suffix| stem[..at].ends_with(suffix));
        if !suffix && !numbered {
            break;
        }
        stem = &stem[..at];
    }
    // The function below a macro of memory allocation profiling (include/linux/alloc_tag.h, 6.10).
    stem.strip_suffix("_noprof").filter(|rest| !rest.is_empty()).unwrap_or(stem)
}

/// The newest name of a function.
fn renamed(name: &str) -> &str {
    renames().find(|(old, _)| *old == name).map_or(name, |(_, new)| new)
}

fn renames() -> impl Iterator<Item = (&'static str, &'static str)> {
    RENAMES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_function_are_one() {
        let same = [
            ("call_console_drivers.isra.22.constprop.30", "call_console_drivers"),
            ("shrink_node+0xd2/0x2f0", "shrink_node"),
            ("warn_alloc.cold", "warn_alloc"),
            ("finish_task_switch.isra.0_[k]", "finish_task_switch"),
            ("do_work.llvm.1234567", "do_work"),
            ("SyS_writev", "sys_writev"),
            ("sys_writev", "sys_writev"),
            ("__x64_sys_writev", "sys_writev"),
            ("__kmalloc_noprof", "__kmalloc"),
            ("return_from_SYSCALL_64", "entry_SYSCALL_64_after_hwframe"),
        ];
        for (name, expected) in same {
            assert_eq!(canonical(name), expected);
        }
    }

    #[test]
    fn other_names_stay() {
        for name in ["", ".isra", "libc.so.6", "std::vec::Vec<T>.3", "a.b", "sys_imageblit", "_noprof", "x.5"]
        {
            assert_eq!(canonical(name), name);
        }
    }

    #[test]
    fn canonical_names_are_their_own() {
        for (old, new) in renames() {
            assert_eq!(canonical(old), new, "{old}: no chains");
            assert_eq!(canonical(new), new, "{new}: no circles");
        }
        assert!(renames().count() > 8);
    }
}
