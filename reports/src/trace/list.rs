//! What would be attached, and what not (`--list`).

use hostdiag_model::trace::Head;

use super::{name, words};
use crate::page::{Ink, Page, Style, count};

/// A function a line with the way it is attached in, then those left out with
/// the reason.
pub fn text(head: &Head, style: Style) -> String {
    let mut page = Page::new(style);
    let names: Vec<String> = head.functions().map(name).collect();
    let left: Vec<String> = head
        .skipped
        .iter()
        .map(|one| match &one.module {
            Some(module) => format!("{} [{module}]", one.name),
            None => one.name.clone(),
        })
        .collect();
    let width = names.iter().chain(&left).map(|name| name.chars().count()).max().unwrap_or(0);
    for attach in &head.attach {
        for function in &attach.functions {
            page.line(&format!("{:width$}  {}", name(function), attach.mechanism.as_str()));
        }
    }
    for (name, one) in left.iter().zip(&head.skipped) {
        page.put(&format!("{name:width$}  ")).ink(Ink::Yellow, "left out");
        page.line(&format!(": {}", words::left_out(&one.reason)));
    }
    page.put("\n");
    for attach in &head.attach {
        let number = count(attach.functions.len(), "function");
        page.line(&format!("{number} by {}{}", attach.mechanism.as_str(), words::because(&attach.reason)));
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use hostdiag_model::trace::{Attach, Function, Mechanism, Reason, SkipReason, Skipped};

    use super::*;

    #[test]
    fn every_function_has_its_line() {
        let functions = vec![Function { name: "tcp_ack".into(), ..Function::default() }];
        let skipped =
            vec![Skipped { name: "rcu_read_lock_held".into(), module: None, reason: SkipReason::Asked }];
        let head = Head {
            attach: vec![Attach { mechanism: Mechanism::KprobeMulti, reason: Reason::Many, functions }],
            skipped,
            ..Head::default()
        };
        let expected = "tcp_ack             kprobe.multi\n\
                        rcu_read_lock_held  left out: --skip\n\n\
                        1 function by kprobe.multi: all in one go\n";
        assert_eq!(text(&head, Style::default()), expected);
    }
}
