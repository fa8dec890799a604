//! Stacks as text, of any profiler: folded lines, bcc's stackcount, `perf script`.
#![no_main]

use hostdiag_model::diff::Which;
use hostdiag_model::diff::stacks::{Grown, Tree, read};
use hostdiag_report::{flame, perf_script};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    of_stacks(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    // What it is not known by, it may have all the same.
    let _ = perf_script::is_perf_script(text);
    if let Ok(folded) = perf_script::folded(text) {
        of_stacks(folded.as_bytes());
    }
});

/// Nothing that is read is lost, and what is drawn is as much.
fn of_stacks(text: &[u8]) {
    let mut sum = 0_u64;
    let mut lines = String::new();
    let taken = read(&mut &*text, &mut |stack, count| {
        assert!(!stack.is_empty());
        sum = sum.saturating_add(count);
        lines.push_str(&format!("{stack} {count}\n"));
        Ok(())
    });
    let mut tree = Tree::as_spelt(vec![Which::A]);
    let read_again = tree.read(0, &mut &*text, &|stack| Some(stack.into()));
    assert!(taken.is_ok() || read_again.is_err());
    if read_again.is_err() {
        return;
    }
    let tree = tree.finish();
    assert_eq!(tree.total(Grown::ROOT)[0], sum);
    // Sums that do not fit stay at the largest that does.
    if sum < u64::MAX {
        let drawn = flame::lines(&tree);
        let counts = drawn.iter().filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        assert!(counts.sum::<u64>() <= sum);
    }
}
