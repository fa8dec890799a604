use std::hint::black_box;
use std::process::id;

use super::*;
use crate::probe::user::{Wanted, find};

#[inline(never)]
fn outer(number: u64) -> u64 {
    black_box(inner(number)) + 1
}

#[inline(always)]
fn inner(number: u64) -> u64 {
    black_box(number) * 3
}

fn this() -> Program {
    Program::running(id())
}

#[test]
fn a_program_that_the_process_no_longer_runs_has_no_names() {
    let other = Program { stack: this().stack - 16, ..this() };
    let symbols = Symbols::new().user(other, &addresses());
    assert!(symbols.iter().all(|symbol| symbol.name == Err(Unknown::OtherProgram)), "{symbols:?}");
}

fn function(symbol: &Symbol) -> &str {
    symbol.name.as_ref().map_or_else(|unknown| unknown.as_str(), |name| &name.function)
}

/// Every byte of [`outer`], which is longer than that.
fn addresses() -> Vec<Address> {
    let start = outer as fn(u64) -> u64 as usize as u64;
    (start..start + 32).map(Address::At).collect()
}

#[test]
fn what_the_compiler_put_into_a_function_is_named_too() {
    assert_eq!(outer(1), 4);
    let symbols = Symbols::new().user(this(), &addresses());
    let first = symbols[0].name.as_ref().unwrap();
    assert!(first.function.ends_with("symbol::tests::outer"), "{first:?}");
    assert_eq!(first.offset, Some(0));
    assert_eq!(symbols[0].module.as_deref(), std::env::current_exe().unwrap().to_str());
    let inlined: Vec<&Name> = symbols.iter().flat_map(|symbol| &symbol.name).collect();
    let inner = inlined.iter().find(|name| !name.inlined.is_empty()).expect("inner is in outer");
    assert!(inner.function.ends_with("outer") && inner.inlined[0].ends_with("inner"), "{inner:?}");
}

#[test]
fn a_call_is_before_the_address_that_it_returns_to() {
    let start = addresses()[0].value();
    let asked =
        [Address::Return(start), Address::At(start + 1), Address::Return(start + 1), Address::At(start)];
    let symbols = Symbols::new().user(this(), &asked);
    assert!(!function(&symbols[0]).ends_with("outer"), "{symbols:?}");
    let offsets: Vec<u64> =
        symbols[1..].iter().flat_map(|symbol| &symbol.name).flat_map(|name| name.offset).collect();
    assert_eq!(offsets, [1, 1, 0]);
}

#[test]
fn each_address_has_its_answer_in_its_place() {
    let mut addresses = addresses();
    addresses.reverse();
    addresses.insert(3, Address::At(0x10));
    addresses.push(addresses[0]);
    let symbols = Symbols::new().user(this(), &addresses);
    let start = addresses[addresses.len() - 2].value();
    assert_eq!(symbols.len(), addresses.len());
    for (address, symbol) in addresses.iter().zip(&symbols) {
        match &symbol.name {
            Ok(name) => assert_eq!(name.offset, Some(address.value() - start)),
            Err(unknown) => assert_eq!((*unknown, address.value()), (Unknown::NotExecutable, 0x10)),
        }
    }
}

#[test]
fn every_reason_has_its_own_words() {
    let words: HashSet<&str> = Unknown::ALL.iter().map(|unknown| unknown.as_str()).collect();
    assert_eq!(words.len(), Unknown::ALL.len());
}

/// This program plays the kernel: its functions at other addresses.
#[test]
fn debug_information_of_the_kernel_is_used_where_it_is_the_same_build() {
    const BASE: u64 = 0xffff_ffff_8100_0000;
    let program = std::env::current_exe().unwrap();
    let is_wanted = |name: &str| name == "main" || name.contains("symbol5tests5outer");
    let file = program.to_str().unwrap();
    let found = find(&Wanted { file, pattern: "", is_wanted: &is_wanted, pid: None }).unwrap();
    let at = |wanted: &str| {
        let function = found.functions.iter().find(|function| function.names[0].contains(wanted)).unwrap();
        BASE + function.offset
    };
    let name = Symbols::new().user(this(), &addresses())[0].name.clone().unwrap().function;
    let inlined = |outer: &str| {
        let text = format!("{:x} T main\n{:x} t {outer}\n", at("main"), at("outer"));
        let table = Table::parse(text.as_bytes(), "");
        let vmlinux = Vmlinux::open(&program, &table, "main");
        assert!(vmlinux.is_some());
        let mut symbols = Symbols { table: Some(table.into()), vmlinux: Some(vmlinux), ..Symbols::default() };
        let addresses: Vec<Address> = (0..32).map(|byte| Address::At(at("outer") + byte)).collect();
        let names = symbols.kernel(&addresses).into_iter().map(|symbol| symbol.name.unwrap());
        names.flat_map(|name| name.inlined).collect::<Vec<String>>()
    };
    assert!(inlined(&name).iter().any(|name| name.ends_with("inner")));
    assert_eq!(inlined("other"), Vec::<String>::new(), "of another build");
}
