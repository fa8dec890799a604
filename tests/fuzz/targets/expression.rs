//! Expressions and conditions of argcount, typed against the kernel's own types and
//! against the input as types: read or refused, with a place that is in the text.
#![no_main]

use std::sync::LazyLock;

use hostdiag::expression::step::MAX_EACH;
use hostdiag::expression::{Signature, compile, condition, parse};
use hostdiag::probe::btf::Types;
use libfuzzer_sys::fuzz_target;

static KERNEL: LazyLock<Vec<u8>> =
    LazyLock::new(|| std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default());
static TYPES: LazyLock<Option<Types<'static>>> = LazyLock::new(|| Types::of(&KERNEL, None));
static SEND: LazyLock<Signature<'static>> = LazyLock::new(|| Signature::of("tcp_sendmsg", TYPES.as_ref()));

fuzz_target!(|input: &[u8]| {
    strange(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    match parse::path(text) {
        Ok(path) => match compile(&path, &SEND) {
            Ok(compiled) => assert!(compiled.steps.len() < MAX_EACH),
            Err(problem) => assert!(text.is_char_boundary(problem.at)),
        },
        Err(problem) => {
            assert!(text.is_char_boundary(problem.at));
            let _ = problem.of(text, Some(&SEND.describe()));
        }
    }
    if let Ok(parsed) = parse::condition(text) {
        let _ = condition(&parsed, &SEND);
    }
});

/// Types that no compiler made.
fn strange(input: &[u8]) {
    let Some(types) = Types::of(input, TYPES.as_ref()) else { return };
    for id in types.ids() {
        let (name, _) = types.get(id);
        let _ = (types.plain(id), types.size(id), types.constant(name));
        let function = Signature::of(name, Some(&types));
        let _ = function.describe();
        for text in ["arg1", "*arg1", "arg1[2]", "a->b.c", "$ret"] {
            if let Ok(path) = parse::path(text) {
                let _ = compile(&path, &function);
            }
        }
    }
}
