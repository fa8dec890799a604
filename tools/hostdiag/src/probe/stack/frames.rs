//! From addresses to stacks with names.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;
use std::{collections, fs};

use foldhash::{HashMap, HashSet};
use hostdiag_model::stacks::{Frame, Part, Stack, StackTable, Symbol};
use hostdiag_model::trace::Function;

use super::record::{Frames, Record};
use super::{At, Options};
use crate::symbol::{self, Address, Program, Symbols};

/// A probe is in the first instruction or two of its function: behind one of 4
/// bytes that marks the target of jumps (endbr64) there are 5 for a call, and it is
/// the address behind that call which trampolines leave in a stack.
const ENTRY: u64 = 9;
/// What calls the program of a raw tracepoint (include/trace/bpf_probe.h,
/// include/linux/tracepoint.h, kernel/trace/bpf_trace.c).
const CALLS_US: [&str; 3] = ["bpf_trace_run", "__bpf_trace_", "__traceiter_"];
/// Where the kernel says how many frames it walks at most, of each part.
const MOST: &str = "/proc/sys/kernel/perf_event_max_stack";

/// Makes stacks of records.
pub(super) struct Naming {
    pub(super) symbols: Symbols,
    /// Which parts were asked for.
    pub(super) kernel: bool,
    pub(super) user: bool,
    /// Stacks are of samples.
    samples: bool,
    /// They are of raw tracepoints.
    raw: bool,
    /// They are of what caused an event alone.
    causes: bool,
    /// It is told where in its function a frame is.
    places: bool,
    /// Where the functions begin, by slot.
    entries: collections::HashMap<u32, u64>,
    /// Functions of the kernel that were named before.
    known: HashMap<Address, Known>,
    most: usize,
}

/// A stack, and whether it is deeper than what was walked.
pub(super) struct Named {
    pub(super) stack: u32,
    pub(super) cut: bool,
}

/// A part of a stack.
#[derive(Clone)]
struct Walked {
    /// Its addresses, the innermost first; nothing where it could not be walked.
    addresses: Option<Vec<Address>>,
    /// It may be deeper.
    cut: bool,
}

/// Names of the addresses of some records.
struct Names {
    kernel: HashMap<Address, Known>,
    user: HashMap<(Program, Address), Known>,
}

/// What is known of an address.
struct Known {
    symbol: symbol::Symbol,
    /// Its frames in the table, once a stack has it.
    frames: OnceCell<Vec<u32>>,
}

impl From<symbol::Symbol> for Known {
    fn from(symbol: symbol::Symbol) -> Self {
        Self { symbol, frames: OnceCell::new() }
    }
}

impl Naming {
    pub(super) fn new(options: Options, entries: collections::HashMap<u32, u64>) -> Self {
        let Options { kernel, user, at, causes, places, .. } = options;
        let (samples, raw) = (at == At::Sample, at == At::RawTracepoint);
        let most = fs::read_to_string(MOST).ok().and_then(|text| text.trim().parse().ok());
        let most = most.map_or(super::MAX_FRAMES, |most: usize| most.min(super::MAX_FRAMES));
        let known = HashMap::default();
        Self { symbols: Symbols::new(), kernel, user, samples, raw, causes, places, entries, known, most }
    }

    /// Adds the stacks of all records to a table, each in its place. `function` is
    /// that of a slot.
    pub(super) fn name<'a>(
        &mut self,
        records: &[Record<'_>],
        function: &dyn Fn(u32) -> Option<&'a Function>,
        table: &mut StackTable,
    ) -> Vec<Named> {
        let mut walked: Vec<[Walked; 2]> =
            records.iter().map(|record| [self.kernel_part(record), self.walked(record.user)]).collect();
        let names = self.names(records, &walked);
        if self.causes {
            walked.iter_mut().for_each(|parts| leave_causes(parts, &names.kernel));
        }
        let mut named = Vec::with_capacity(records.len());
        for (record, [kernel, user]) in records.iter().zip(&walked) {
            let entry = self.entries.get(&record.slot).zip(function(record.slot));
            let entry = entry.map(|(address, function)| table.add_frame(entry_frame(*address, function)));
            // Of a process that is at a function of its own there is none.
            let own = function(record.slot).filter(|function| function.is_of_program());
            let of_kernel = (self.kernel && !(self.user && own.is_some())).then(|| {
                let mut part = self.part(
                    &self.without_ours(kernel, &names),
                    |address| names.kernel.get(&address),
                    table,
                );
                part.frames.splice(0..0, entry);
                part
            });
            let name = |address| names.user.get(&(record.program, address));
            let of_user = self.user.then(|| self.user_part((user, own), name, table));
            let stack = table.add_stack(Stack { kernel: of_kernel, user: of_user });
            named.push(Named { stack, cut: kernel.cut || user.cut });
        }
        self.known = names.kernel;
        // What has no name may get one.
        self.known.retain(|_, known| known.symbol.name.is_ok());
        named
    }

    fn walked(&self, frames: Result<Frames<'_>, i32>) -> Walked {
        let frames = frames.ok();
        let cut = frames.is_some_and(|frames| frames.len() >= self.most);
        Walked { addresses: frames.map(addresses), cut }
    }

    /// The kernel's part; where the traced function is known, its callers. Only a
    /// sample finds a CPU outside of the kernel, else it is never empty: tracepoints
    /// of system calls come with the registers of the process alone on older kernels,
    /// which walk no stack of theirs then.
    fn kernel_part(&self, record: &Record<'_>) -> Walked {
        let walked = self.walked(record.kernel);
        match (self.entries.get(&record.slot), record.kernel) {
            (_, Ok(frames)) if frames.is_empty() && !self.samples => Walked { addresses: None, ..walked },
            (Some(entry), Ok(frames)) => Walked { addresses: Some(callers(frames, *entry)), ..walked },
            _ => walked,
        }
    }

    /// Without what stands above the function that a tracepoint is in: our program,
    /// and what the kernel calls it by.
    fn without_ours<'a>(&self, walked: &'a Walked, names: &Names) -> Cow<'a, Walked> {
        let Some(addresses) = walked.addresses.as_ref().filter(|_| self.raw) else {
            return Cow::Borrowed(walked);
        };
        let is_ours = |address: &&Address| {
            let known = names.kernel.get(address);
            known.is_some_and(|Known { symbol, .. }| {
                let name = symbol.name.as_ref().map_or("", |name| &name.function);
                symbol.module.as_deref() == Some("bpf")
                    || CALLS_US.iter().any(|known| name.starts_with(known))
            })
        };
        let callers = addresses.iter().skip_while(is_ours).copied().collect();
        Cow::Owned(Walked { addresses: Some(callers), cut: walked.cut })
    }

    fn names(&mut self, records: &[Record<'_>], walked: &[[Walked; 2]]) -> Names {
        let mut kernel = std::mem::take(&mut self.known);
        let mut of_kernel: HashSet<Address> = HashSet::default();
        let mut of_user: HashMap<Program, HashSet<Address>> = HashMap::default();
        for (record, [part, user]) in records.iter().zip(walked) {
            let new = part.addresses.iter().flatten().filter(|address| !kernel.contains_key(address));
            of_kernel.extend(new);
            of_user.entry(record.program).or_default().extend(user.addresses.iter().flatten());
        }
        let wanted: Vec<Address> = of_kernel.into_iter().collect();
        let found = self.symbols.kernel(&wanted).into_iter().map(Known::from);
        kernel.extend(wanted.iter().copied().zip(found));
        let mut user = HashMap::default();
        for (program, wanted) in of_user.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
            let wanted: Vec<Address> = wanted.into_iter().collect();
            let found = self.symbols.user(program, &wanted).into_iter().map(Known::from);
            user.extend(wanted.iter().map(|address| (program, *address)).zip(found));
        }
        Names { kernel, user }
    }

    /// The process's part. A function of its own that is traced is its first, and known
    /// also where the process has ended or its file was stripped.
    fn user_part<'a>(
        &self,
        (walked, own): (&Walked, Option<&Function>),
        name: impl Fn(Address) -> Option<&'a Known>,
        table: &mut StackTable,
    ) -> Part {
        let mut part = self.part(walked, &name, table);
        let first = walked.addresses.iter().flatten().next();
        let unknown = first.filter(|address| name(**address).is_none_or(|known| known.symbol.name.is_err()));
        if let (Some(address), Some(function), Some(frame)) = (unknown, own, part.frames.first_mut()) {
            *frame = table.add_frame(entry_frame(address.value(), function));
        }
        part
    }

    fn part<'a>(
        &self,
        walked: &Walked,
        name: impl Fn(Address) -> Option<&'a Known>,
        table: &mut StackTable,
    ) -> Part {
        let Some(addresses) = &walked.addresses else {
            return Part { frames: Vec::new(), gap: Some("could not be walked".into()) };
        };
        let mut frames = Vec::with_capacity(addresses.len());
        for address in addresses {
            let Some(known) = name(*address) else { continue };
            let frame = |frame| table.add_frame(frame);
            let place = if self.places { Some(address.value()) } else { None };
            let known_frames = || in_table(place, &known.symbol).map(frame).collect();
            frames.extend(known.frames.get_or_init(known_frames));
        }
        let gap = walked.cut.then(|| format!("no more than {} frames are walked", self.most).into());
        Part { frames, gap }
    }
}

/// The frames at an address: the function, before it those that the compiler put
/// into it, the innermost first. Without a place it is 0, and there is no offset.
fn in_table(place: Option<u64>, symbol: &symbol::Symbol) -> impl Iterator<Item = Frame> {
    let (name, offset, inlined) = match &symbol.name {
        Ok(name) => {
            (Symbol::Name(name.function.clone()), name.offset.filter(|_| place.is_some()), &name.inlined[..])
        }
        Err(unknown) => (Symbol::Unknown(unknown.as_str().into()), None, &[][..]),
    };
    let inside = inlined.iter().rev().map(|name| (Symbol::Name(name.as_str().into()), None, true));
    inside.chain([(name, offset, false)]).map(move |(function, offset, inlined)| Frame {
        address: place.unwrap_or(0),
        symbol: function,
        offset,
        module: symbol.module.clone(),
        inlined,
    })
}

/// The first is where the processor was, all others are return addresses.
fn addresses(frames: Frames<'_>) -> Vec<Address> {
    let address = |(index, frame): (usize, &[u8; 8])| match index {
        0 => Address::At(u64::from_ne_bytes(*frame)),
        _ => Address::Return(u64::from_ne_bytes(*frame)),
    };
    frames.iter().enumerate().map(address).collect()
}

/// The traced function, by the name that it was asked for: it may have others.
fn entry_frame(address: u64, function: &Function) -> Frame {
    let module = function.module.as_deref().map(Arc::from);
    let symbol = Symbol::Name(function.name.as_str().into());
    Frame { address, symbol, offset: Some(0), module, inlined: false }
}

/// The callers of a traced function that begins at `entry`. Before it may be our
/// program and what called that; or the kernel left the function out (kprobe.multi
/// on x86 until 2026).
fn callers(frames: Frames<'_>, entry: u64) -> Vec<Address> {
    let is_entry = |frame: u64| (entry..=entry.saturating_add(ENTRY)).contains(&frame);
    let frames = frames.iter().copied().map(u64::from_ne_bytes);
    let first = frames.clone().position(is_entry).map_or(0, |index| index + 1);
    frames.skip(first).map(Address::Return).collect()
}

/// Where the kernel begins to handle an interrupt, arch/x86/include/asm/idtentry.h.
const INTERRUPTS: [&str; 2] = ["asm_sysvec_", "asm_common_interrupt"];

/// The process that an interrupt came upon is no part of why it came.
fn leave_causes([kernel, user]: &mut [Walked; 2], names: &HashMap<Address, Known>) {
    let is_interrupt = |address: &Address| {
        let name = names.get(address).and_then(|known| known.symbol.name.as_ref().ok());
        name.is_some_and(|name| INTERRUPTS.iter().any(|start| name.function.starts_with(start)))
    };
    if kernel.addresses.iter().flatten().any(is_interrupt) {
        *user = Walked { addresses: Some(Vec::new()), cut: false };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY_OF: u64 = 0xffff_ffff_8142_d3e0;
    const CALLERS: [u64; 2] = [0xffff_ffff_8111_0044, 0xffff_ffff_8100_0010];

    fn found(above: &[u64]) -> Vec<u64> {
        let frames: Vec<_> = above.iter().chain(&CALLERS).map(|frame| frame.to_ne_bytes()).collect();
        callers(&frames, ENTRY_OF).into_iter().map(Address::value).collect()
    }

    #[test]
    fn what_is_above_the_traced_function_is_left_out() {
        // A kprobe; with endbr64; a trampoline and our program; left out.
        for above in
            [&[ENTRY_OF + 1][..], &[ENTRY_OF + 5], &[0xffff_ffff_c012, 0xffff_ffff_c034, ENTRY_OF + 9], &[]]
        {
            assert_eq!(found(above), CALLERS, "{above:x?}");
        }
    }

    #[test]
    fn a_function_that_calls_itself_is_in_it_as_often() {
        let caller = ENTRY_OF + 0x20;
        let expected = [caller, CALLERS[0], CALLERS[1]];
        assert_eq!(found(&[caller]), expected);
        assert_eq!(found(&[ENTRY_OF + 1, caller]), expected);
    }

    #[test]
    fn who_was_interrupted_did_not_cause_it() {
        let left = |kernel: &[&str]| {
            let symbol = |name: &&str| symbol::Symbol {
                name: Ok(symbol::Name { function: (*name).into(), offset: Some(1), inlined: Vec::new() }),
                module: None,
            };
            let addresses: Vec<Address> = (0..kernel.len() as u64).map(Address::Return).collect();
            let names = addresses.iter().copied().zip(kernel.iter().map(symbol).map(Known::from)).collect();
            let walked = |addresses| Walked { addresses: Some(addresses), cut: false };
            let mut parts = [walked(addresses), walked(vec![Address::At(7)])];
            leave_causes(&mut parts, &names);
            parts.map(|part| part.addresses.unwrap().len())
        };
        assert_eq!(left(&["hrtimer_interrupt", "asm_sysvec_apic_timer_interrupt", "do_idle"]), [3, 0]);
        // A fault is the process's own.
        assert_eq!(left(&["mod_timer", "asm_exc_page_fault"]), [2, 1]);
    }

    #[test]
    fn inlined_functions_are_inside_of_theirs() {
        let name = symbol::Name {
            function: "outer".into(),
            offset: Some(7),
            inlined: vec!["middle".into(), "inner".into()],
        };
        let symbol = symbol::Symbol { name: Ok(name), module: Some("m".into()) };
        let frames: Vec<_> =
            in_table(Some(9), &symbol).map(|frame| (frame.symbol, frame.offset, frame.inlined)).collect();
        let named = |name: &str| Symbol::Name(name.into());
        let expected =
            [(named("inner"), None, true), (named("middle"), None, true), (named("outer"), Some(7), false)];
        assert_eq!(frames, expected);
        // Wherever in it.
        let places: Vec<_> = in_table(None, &symbol).map(|frame| (frame.address, frame.offset)).collect();
        assert_eq!(places, [(0, None); 3]);
    }
}
