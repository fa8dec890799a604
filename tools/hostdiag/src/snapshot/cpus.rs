//! Models and microcode of CPUs; the rest of them is in the table.

use hostdiag_model::snapshot::{Area, Value};

use super::found::{Found, Key};
use super::table::{self, Members};

/// Of /proc/cpuinfo, what does not change by itself.
const FIELDS: [&str; 4] = ["model name", "microcode", "stepping", "cache size"];

/// Adds them.
pub(super) fn gather(found: &mut Found<'_>) {
    let text = match found.text("/proc/cpuinfo") {
        Ok(text) => text,
        Err(error) => return found.unreadable(Key { area: Area::Cpu, of: None, name: "cpuinfo" }, &error),
    };
    for field in FIELDS {
        let members = members(&text, field);
        if !members.is_empty() {
            found.push(Key { area: Area::Cpu, of: None, name: field }, table::fold(members));
        }
    }
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    found.value(Key { area: Area::Cpu, of: None, name: "cpus" }, &count.to_string());
}

/// What each CPU has for a field.
fn members(text: &str, field: &str) -> Members {
    let mut cpu = String::new();
    let mut all = Vec::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        match name.trim() {
            "processor" => cpu = format!("cpu{}", value.trim()),
            name if name == field => all.push((cpu.clone(), Value::Value(value.trim().to_owned()))),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_that_differ_are_told_apart() {
        let block = |cpu, code| format!("processor\t: {cpu}\nmodel name\t: X 1\nmicrocode\t: {code}\n\n");
        let text = block(0, "0x1") + &block(1, "0x2") + &block(2, "0x1");
        assert_eq!(table::fold(members(&text, "model name")), Value::Value("X 1".into()));
        assert_eq!(
            table::fold(members(&text, "microcode")),
            Value::Value("0x1 (cpu0 cpu2), 0x2 (cpu1)".into())
        );
    }
}
