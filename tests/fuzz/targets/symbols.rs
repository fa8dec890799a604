//! What processes hand us for symbols: their memory maps, ELF files, perf maps,
//! and the caches of the dynamic linker and of the kernel's symbols.
#![no_main]

use std::ops::ControlFlow;

use hostdiag::elf;
use hostdiag::probe::user::ld_cache;
use hostdiag::process;
use hostdiag::symbol::kernel::Table;
use hostdiag::symbol::perf_map::PerfMap;
use libfuzzer_sys::fuzz_target;

const ADDRESSES: [u64; 4] = [0, 0x7f10, 0xffff_ffff_8100_0010, u64::MAX];

fuzz_target!(|input: &[u8]| {
    elf::functions(input, &mut |function| {
        assert!(!function.name.is_empty() && !function.name.contains('@'));
        ControlFlow::Continue(())
    });
    for library in ld_cache::parse(input) {
        assert!(library.name.len().max(library.path.len()) <= input.len());
    }
    for mapping in process::parse_maps(input) {
        let _ = mapping.is_file();
    }
    let map = PerfMap::parse(String::from_utf8_lossy(input).into_owned());
    let table = Table::parse(input, &String::from_utf8_lossy(input));
    for address in ADDRESSES {
        let _ = (map.find(address), table.find(address));
    }
});
