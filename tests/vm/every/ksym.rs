//! Names that the kernel is asked for are those of /proc/kallsyms.
use std::fs;

use hostdiag::probe::ksym::Ksyms;
use hostdiag::symbol::Unknown;
use hostdiag::symbol::kernel::Table;

#[test]
fn ksym_names_are_those_of_kallsyms() {
    let ksyms = Ksyms::open();
    // Linux 5.16.
    assert_eq!(ksyms.is_some(), std::env::var("HOSTDIAG_ROLE").unwrap() != "oldest");
    let Some(ksyms) = ksyms else { return };
    let (table, text) = (Table::anew(), fs::read_to_string("/proc/kallsyms").unwrap());
    let mut named = 0;
    // All of them would take seconds.
    for line in text.lines().step_by(4) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !"tTwW".contains(words[1]) {
            continue;
        }
        let start = u64::from_str_radix(words[0], 16).unwrap();
        // Trampolines of ftrace, pages of kprobes, on some kernels dispatchers of BPF: nothing
        // but kallsyms has them.
        let only_there = words[2].starts_with("bpf_dispatcher_")
            || words.get(3).is_some_and(|module| module.starts_with("[__builtin__"));
        for address in [start, start + 1] {
            let (found, listed) = (ksyms.find(address), table.find(address));
            if !only_there {
                assert_eq!(found, listed, "{line} {address:x}");
            }
            named += usize::from(found.name != Err(Unknown::NotCovered));
        }
    }
    assert!(named > 5_000, "{named} names");
}
