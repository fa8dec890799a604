//! The functions of the running kernel, its modules and its BPF programs:
//! /proc/kallsyms.
//!
//! blazesym's own reader leaves the modules out, and names an address that no
//! function covers, as of a BPF program that kallsyms hides, after the nearest
//! one below.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Name, Symbol, Unknown};
use crate::kernel::facts::Kallsyms;

/// Pseudo-modules of kallsyms whose parts have no end to be known: programs,
/// trampolines. A program takes at most so many bytes.
const LARGEST_PROGRAM: u64 = 1 << 20;

/// Functions by address.
pub struct Table {
    state: Kallsyms,
    /// All names in a row.
    names: Vec<u8>,
    functions: Vec<Function>,
    modules: Vec<Module>,
    /// Where the kernel's own code ends: the symbol `_etext`.
    end: Option<u64>,
}

struct Function {
    address: u64,
    /// Where its name is in the names.
    name: u32,
    length: u16,
    /// Its module by index, from 1; 0 for the kernel itself.
    module: u16,
}

struct Module {
    name: Arc<str>,
    /// The address behind the last byte, where /proc/modules has one.
    end: Option<u64>,
}

/// What somebody in this process has read last, as long as it is in use.
static SHARED: Mutex<Weak<Table>> = Mutex::new(Weak::new());

impl Table {
    /// Of the running kernel, as others in this process have it, or else read now: it takes
    /// some ten megabytes.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let table = Arc::new(Self::read());
            *shared = Arc::downgrade(&table);
            table
        })
    }

    /// The same, read now.
    pub fn anew() -> Arc<Self> {
        let table = Arc::new(Self::read());
        *SHARED.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&table);
        table
    }

    /// Of the running kernel.
    fn read() -> Self {
        let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
        match File::open("/proc/kallsyms") {
            Ok(file) => Self::parse(BufReader::with_capacity(1 << 16, file), &modules),
            Err(_) => Self::parse(&b""[..], &modules),
        }
    }

    /// Of the text of /proc/kallsyms and of /proc/modules (kallsyms.c,
    /// proc_modules(5)). Lines that are none are left out.
    pub fn parse(mut kallsyms: impl BufRead, modules: &str) -> Self {
        let ends = module_ends(modules);
        let mut table = Self {
            state: Kallsyms::Unreadable,
            names: Vec::new(),
            functions: Vec::new(),
            modules: Vec::new(),
            end: None,
        };
        let mut numbers = HashMap::new();
        let mut line = Vec::new();
        while kallsyms.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            table.add(line.trim_ascii_end(), &ends, &mut numbers);
            line.clear();
        }
        // Of several names of one address the first stands, as in the kernel's own
        // messages (get_symbol_pos()).
        table.functions.sort_unstable_by_key(|function| (function.address, function.name));
        table.functions.dedup_by_key(|function| function.address);
        table
    }

    /// `ADDRESS TYPE NAME[<tab>[MODULE]]`
    fn add(&mut self, line: &[u8], ends: &HashMap<&str, u64>, numbers: &mut HashMap<String, u16>) {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let Some(address) = hexadecimal(address) else { return };
        if self.state == Kallsyms::Unreadable {
            self.state = Kallsyms::Hidden;
        }
        if address == 0 {
            return;
        }
        self.state = Kallsyms::Shown;
        if name == b"_etext" {
            self.end = Some(address);
        }
        if !matches!(kind, b"t" | b"T" | b"w" | b"W") {
            return;
        }
        let module = words.next().map_or(0, |word| self.module(word, ends, numbers));
        let (Ok(start), Ok(length)) = (u32::try_from(self.names.len()), u16::try_from(name.len())) else {
            return;
        };
        self.names.extend_from_slice(name);
        self.functions.push(Function { address, name: start, length, module });
    }

    /// The number of a module in brackets; 0 where there are too many of them.
    fn module(&mut self, word: &[u8], ends: &HashMap<&str, u64>, numbers: &mut HashMap<String, u16>) -> u16 {
        let name = String::from_utf8_lossy(word);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if let Some(number) = numbers.get(name) {
            return *number;
        }
        let Ok(number) = u16::try_from(self.modules.len() + 1) else { return 0 };
        self.modules.push(Module { name: name.into(), end: ends.get(name).copied() });
        numbers.insert(name.to_owned(), number);
        number
    }

    /// Whether the kernel shows addresses.
    pub fn state(&self) -> Kallsyms {
        self.state
    }

    /// Where a function begins; nothing where there is none of that name, or
    /// more than one.
    pub fn address(&self, name: &str) -> Option<u64> {
        let mut named = self.functions.iter().filter(|function| self.name(function) == name.as_bytes());
        let function = named.next()?;
        named.next().is_none().then_some(function.address)
    }

    fn name(&self, function: &Function) -> &[u8] {
        let start = function.name as usize;
        self.names.get(start..start + usize::from(function.length)).unwrap_or_default()
    }

    /// The function that an address is in. Never inlined ones, which take debug
    /// information.
    pub fn find(&self, address: u64) -> Symbol {
        match self.state {
            Kallsyms::Shown => {}
            Kallsyms::Hidden => return Symbol::unknown(Unknown::AddressesHidden, None),
            Kallsyms::Unreadable => return Symbol::unknown(Unknown::NoKallsyms, None),
        }
        let below = self.functions.partition_point(|function| function.address <= address);
        let Some(function) = below.checked_sub(1).and_then(|index| self.functions.get(index)) else {
            return Symbol::uncovered();
        };
        let module = function.module.checked_sub(1).and_then(|index| self.modules.get(usize::from(index)));
        let end = match module {
            None => self.end,
            Some(module) => module.end.or_else(|| function.address.checked_add(LARGEST_PROGRAM)),
        };
        if end.is_some_and(|end| address >= end) {
            return Symbol::uncovered();
        }
        let offset = address - function.address;
        Symbol {
            name: Ok(Name {
                function: String::from_utf8_lossy(self.name(function)).into(),
                offset: Some(offset),
                inlined: Vec::new(),
            }),
            module: module.map(|module| module.name.clone()),
        }
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from);
    let add = |number: u64, byte| Some(number.checked_mul(16)? | digit(byte)?);
    digits.iter().try_fold(0, add)
}

/// `NAME SIZE USERS BY STATE ADDRESS`: where each module ends. From 6.4 on the
/// size is that of parts that lie apart, so that the code ends before.
fn module_ends(modules: &str) -> HashMap<&str, u64> {
    let end = |line: &'_ str| {
        let mut words = line.split(' ');
        let (_, size) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        let base = u64::from_str_radix(words.nth(3)?.trim_start_matches("0x"), 16).ok()?;
        base.checked_add(size)
    };
    modules.lines().filter_map(|line| Some((line.split(' ').next()?, end(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T startup_64
ffffffff81000000 T _text
ffffffff81000100 t do_work.isra.0
ffffffff81000200 T _etext
ffffffff82000000 D jiffies
ffffffffc0000000 t veth_xmit\t[veth]
ffffffffc0000f00 t veth_poll\t[veth]
ffffffffc0800000 t bpf_prog_0123456789abcdef_count\t[bpf]
";
    const MODULES: &str = "veth 4096 0 - Live 0xffffffffc0000000\n";

    fn table() -> Table {
        Table::parse(KALLSYMS.as_bytes(), MODULES)
    }

    fn found(address: u64) -> Result<(String, Option<u64>, Option<String>), Unknown> {
        let symbol = table().find(address);
        let module = symbol.module.as_deref().map(String::from);
        symbol.name.map(|name| (name.function.to_string(), name.offset, module))
    }

    #[test]
    fn functions_have_their_module() {
        assert_eq!(found(0xffff_ffff_8100_0000), Ok(("startup_64".into(), Some(0), None)));
        assert_eq!(found(0xffff_ffff_8100_01ff), Ok(("do_work.isra.0".into(), Some(0xff), None)));
        assert_eq!(found(0xffff_ffff_c000_0001), Ok(("veth_xmit".into(), Some(1), Some("veth".into()))));
        let program = "bpf_prog_0123456789abcdef_count";
        assert_eq!(found(0xffff_ffff_c080_0010), Ok((program.into(), Some(16), Some("bpf".into()))));
    }

    #[test]
    fn what_no_function_covers_is_not_named_after_the_one_below() {
        for address in [0, 0x1000, u64::MAX, 0xffff_ffff_8100_0200, 0xffff_ffff_8200_0000] {
            assert_eq!(found(address), Err(Unknown::NotCovered), "{address:x}");
        }
        assert_eq!(found(0xffff_ffff_c000_0fff).unwrap().0, "veth_poll");
        assert_eq!(found(0xffff_ffff_c000_1000), Err(Unknown::NotCovered), "behind the module");
        assert_eq!(found(0xffff_ffff_c090_0000), Err(Unknown::NotCovered), "behind the program");
    }

    #[test]
    fn hidden_addresses_are_a_fact() {
        let hidden = Table::parse(&b"0000000000000000 T _text\n0000000000000000 t f\t[m]\n"[..], "");
        assert_eq!(hidden.state(), Kallsyms::Hidden);
        assert_eq!(hidden.find(0x1000).name, Err(Unknown::AddressesHidden));
        let empty = Table::parse(&b""[..], "");
        assert_eq!(empty.find(0x1000).name, Err(Unknown::NoKallsyms));
        assert_eq!(table().state(), Kallsyms::Shown);
    }
}
