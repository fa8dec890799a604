//! Where interrupts go, and how many come.

use hostdiag_model::snapshot::Area;

use super::found::{Found, Key};

/// An interrupt of /proc/interrupts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interrupt<'a> {
    /// Its number, or a name such as `LOC`.
    pub(super) label: &'a str,
    /// What it is for: `eth0-TxRx-0`, `timer`; of those without a number the label. Those
    /// who share one name are told apart by their number.
    pub(super) name: String,
    /// How many came, on all CPUs.
    pub(super) count: u64,
}

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    let text = match found.text("/proc/interrupts") {
        Ok(text) => text,
        Err(error) => return found.unreadable(Key { area: Area::Irq, of: None, name: "interrupts" }, &error),
    };
    found.file(
        Key { area: Area::Irq, of: None, name: "default_smp_affinity" },
        "/proc/irq/default_smp_affinity",
    );
    for interrupt in interrupts(&text) {
        let file = |file| format!("/proc/irq/{}/{file}", interrupt.label);
        let key = |name| Key { area: Area::Irq, of: Some(&interrupt.name), name };
        found.file(key("affinity"), &file("smp_affinity_list"));
        found.file(key("effective affinity"), &file("effective_affinity_list"));
        found.file(key("node"), &file("node"));
    }
    if is_running(found, "irqbalance") {
        found.value(Key { area: Area::Irq, of: None, name: "irqbalance" }, "running");
    }
}

/// Whether a process of that name runs.
fn is_running(found: &Found<'_>, name: &str) -> bool {
    let processes = found.list("/proc");
    let mut numbers = processes.iter().filter(|entry| entry.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.any(|number| found.text(&format!("/proc/{number}/comm")).is_ok_and(|comm| comm.trim() == name))
}

/// Those of the text of /proc/interrupts.
pub(super) fn interrupts(text: &str) -> Vec<Interrupt<'_>> {
    let mut lines = text.lines();
    let cpus = lines.next().map_or(0, |head| head.split_whitespace().count());
    let mut all: Vec<Interrupt<'_>> = Vec::new();
    for line in lines {
        let Some((label, rest)) = line.split_once(':') else { continue };
        let label = label.trim();
        let words: Vec<&str> = rest.split_whitespace().collect();
        let counts = words.iter().take(cpus).map_while(|word| word.parse::<u64>().ok());
        let (seen, count) = counts.fold((0, 0_u64), |(seen, sum), one| (seen + 1, sum + one));
        let mut name = label.to_owned();
        // Behind the counts: chip, number and kind there, then what it is for.
        if label.bytes().all(|byte| byte.is_ascii_digit()) && words.len() > seen + 2 {
            name = words[seen + 2..].join(" ");
        }
        if all.iter().any(|known| known.name == name) {
            name = format!("{name} ({label})");
        }
        all.push(Interrupt { label, name, count });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_have_the_names_of_their_devices() {
        let text = "           CPU0       CPU1       \n  0:   4   6  IO-APIC   2-edge      timer\n \
                    30:   1   2  PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0\n \
                    31:   1   0  PCI-MSIX-0000:00:04.0   1-edge      virtio2-input.0\n \
                    LOC:  100   200   Local timer interrupts\nERR:   0\n";
        let all: Vec<_> = interrupts(text).into_iter().map(|one| (one.label, one.name, one.count)).collect();
        let expected = [
            ("0", "timer", 10),
            ("30", "virtio2-input.0", 3),
            ("31", "virtio2-input.0 (31)", 1),
            ("LOC", "LOC", 300),
            ("ERR", "ERR", 0),
        ];
        assert_eq!(all, expected.map(|(label, name, count)| (label, name.to_owned(), count)));
    }
}
