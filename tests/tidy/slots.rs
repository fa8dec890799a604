//! `hist_slot` of `bpf/hist.bpf.h` and the model's `Resolution::slot` are one
//! function in two languages. The C one is compiled for this machine and asked.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use hostdiag_model::histogram::Resolution;

const ASK: &str = r#"
#include <stdio.h>
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
typedef unsigned int __u32;
typedef unsigned long long __u64;
#include "hist.bpf.h"

int main(void)
{
	__u64 value;
	__u32 sub_bits;

	while (scanf("%u %llu", &sub_bits, &value) == 2)
		printf("%llu %u %u\n", hist_slot(value, sub_bits), HIST_SLOTS(sub_bits), HIST_MAX_SLOTS);
}
"#;

fn pipe(command: &mut Command, input: &str) -> String {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.expect("clang, which the build needs, too");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    writer.join().expect("a thread that writes").expect("a program that reads");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("numbers")
}

/// The ends of every slot, and what is beyond the last.
fn values(resolution: Resolution) -> Vec<u64> {
    let bounds = (0..resolution.slots()).map(|slot| resolution.bounds(slot).expect("a slot"));
    let ends = bounds.flat_map(|bounds| [Some(bounds.low), bounds.high]).flatten();
    ends.chain((40..64).map(|bits| 1 << bits)).chain((0..24).map(|bits| u64::MAX >> bits)).collect()
}

#[test]
fn slots_are_the_same_in_c_and_in_rust() {
    let program = std::env::temp_dir().join(format!("hostdiag-slots-{}", std::process::id()));
    let mut clang = Command::new("clang");
    clang.args(["-xc", "-", "-O2", "-Wall", "-Werror", "-fsanitize=undefined", "-fsanitize-trap=undefined"]);
    clang.arg("-I").arg(super::root().join("bpf")).arg("-o").arg(&program);
    pipe(&mut clang, ASK);
    let (mut input, mut expected) = (String::new(), String::new());
    let most = Resolution::FINEST.slots();
    for resolution in (0..=4).filter_map(Resolution::new) {
        for value in values(resolution) {
            let sub_bits = resolution.sub_bits();
            writeln!(input, "{sub_bits} {value}").expect("memory");
            let (slot, slots) = (resolution.slot(value), resolution.slots());
            writeln!(expected, "{slot} {slots} {most}").expect("memory");
        }
    }
    let found = pipe(&mut Command::new(&program), &input);
    std::fs::remove_file(&program).expect("the program, as it was made");
    let different = input.lines().zip(found.lines().zip(expected.lines())).find(|(_, (c, rust))| c != rust);
    assert_eq!(different, None, "sub_bits and value, (slot, slots, most) in C and in Rust");
    assert_eq!(found.lines().count(), expected.lines().count());
}
