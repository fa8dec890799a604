//! What a row is of.

use hostdiag_model::trace::{By, Function, Group, Owner, Timer, TimerKind};

use crate::symbol::{Address, Symbol, Symbols};

/// `struct name` of bpf/timer_rows.bpf.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    function: u64,
    work: u64,
    process: [u8; 16],
    comm: [u8; 16],
    number: u32,
    is_hrtimer: bool,
}

impl Name {
    pub(super) const BYTES: usize = 56;

    pub(super) fn of(bytes: &[u8; Self::BYTES]) -> Self {
        let long = |at: usize| u64::from_ne_bytes(part(bytes, at));
        Self {
            function: long(0),
            work: long(8),
            process: part(bytes, 16),
            comm: part(bytes, 32),
            number: u32::from_ne_bytes(part(bytes, 48)),
            is_hrtimer: u32::from_ne_bytes(part(bytes, 52)) != 0,
        }
    }

    fn group(&self, by: Option<By>) -> Option<Group> {
        Some(match by? {
            By::Cpu => Group::Cpu(self.number),
            By::Pid => Group::Pid(self.number),
            By::Comm => Group::Comm(text(&self.comm)),
        })
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}

/// A command name, which ends with the first byte 0.
fn text(comm: &[u8; 16]) -> String {
    let name = comm.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// What timers call on behalf of others: who that is stands beside the timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trampolines {
    pub(super) delayed_work_timer_fn: u64,
    pub(super) process_timeout: u64,
    pub(super) hrtimer_wakeup: u64,
}

/// Gives names to rows.
pub(super) struct Naming {
    symbols: Symbols,
    by: Option<By>,
}

impl Naming {
    pub(super) fn new(by: Option<By>) -> Self {
        Self { symbols: Symbols::new(), by }
    }

    /// Where they are; 0 where the kernel does not tell.
    pub(super) fn trampolines(&mut self) -> Trampolines {
        let table = self.symbols.table();
        let address = |name| table.address(name).unwrap_or(0);
        Trampolines {
            delayed_work_timer_fn: address("delayed_work_timer_fn"),
            process_timeout: address("process_timeout"),
            hrtimer_wakeup: address("hrtimer_wakeup"),
        }
    }

    pub(super) fn timer(&mut self, name: &Name) -> Timer {
        let process = text(&name.process);
        let owner = match (name.work, process.is_empty()) {
            (0, true) => None,
            (work, true) => Some(Owner::Work(self.function(work))),
            (_, false) => Some(Owner::Process(process)),
        };
        Timer {
            kind: if name.is_hrtimer { TimerKind::Hrtimer } else { TimerKind::Timer },
            function: self.function(name.function),
            owner,
            group: name.group(self.by),
        }
    }

    fn function(&mut self, address: u64) -> Function {
        let found = self.symbols.kernel(&[Address::At(address)]).pop();
        match found {
            Some(Symbol { name: Ok(name), module }) => {
                let offset = name.offset.filter(|offset| *offset != 0);
                let offset = offset.map_or(String::new(), |offset| format!("+{offset:#x}"));
                Function {
                    name: format!("{}{offset}", name.function),
                    module: module.as_deref().map(String::from),
                    address: None,
                }
            }
            _ => Function { name: format!("{address:#x}"), ..Function::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_programs() {
        let mut bytes = [0; Name::BYTES];
        bytes[..8].copy_from_slice(&1_u64.to_ne_bytes());
        bytes[16..20].copy_from_slice(b"java");
        bytes[32..36].copy_from_slice(b"curl");
        bytes[48..52].copy_from_slice(&3_u32.to_ne_bytes());
        bytes[52..].copy_from_slice(&1_u32.to_ne_bytes());
        let name = Name::of(&bytes);
        assert_eq!(name.group(None), None);
        assert_eq!(name.group(Some(By::Cpu)), Some(Group::Cpu(3)));
        assert_eq!(name.group(Some(By::Comm)), Some(Group::Comm("curl".into())));
        let timer = Naming::new(Some(By::Pid)).timer(&name);
        assert_eq!((timer.kind, timer.group), (TimerKind::Hrtimer, Some(Group::Pid(3))));
        assert_eq!(timer.function.name, "0x1");
        assert_eq!(timer.owner, Some(Owner::Process("java".into())));
    }
}
