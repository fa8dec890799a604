//! Words for areas and values.

use hostdiag_model::snapshot::{Area, Setting, Value};

/// What an area is called, as in the recording.
pub(crate) fn area(area: Area) -> &'static str {
    match area {
        Area::Kernel => "kernel",
        Area::Config => "config",
        Area::Sysctl => "sysctl",
        Area::Module => "module",
        Area::Cpu => "cpu",
        Area::Memory => "memory",
        Area::Block => "block",
        Area::Cgroup => "cgroup",
        Area::Os => "os",
        Area::Package => "package",
        Area::Bpf => "bpf",
        Area::Link => "link",
        Area::Nic => "nic",
        Area::Qdisc => "qdisc",
        Area::Irq => "irq",
        Area::Softirq => "softirq",
        Area::Net => "net",
        Area::Pressure => "pressure",
        Area::Log => "log",
    }
}

/// The name, with what it is of.
pub(super) fn name(setting: &Setting) -> String {
    match &setting.of {
        Some(of) => format!("{of} {}", setting.name),
        None => setting.name.clone(),
    }
}

/// The value, or why there is none.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Value(value) if value.is_empty() => "\"\"".into(),
        Value::Value(value) => value.clone(),
        Value::Unreadable(why) => format!("not read: {why}"),
    }
}

/// Words with commas between, in lines of bounded length.
pub(super) fn wrapped(words: &[String]) -> Vec<String> {
    const WIDTH: usize = 96;
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() + 2 <= WIDTH => {
                *line += &format!(", {word}");
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// The first characters of a longer text.
pub(super) fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
