//! Numbers mean the same wherever a table goes; damage is refused.

use proptest::prelude::*;

use super::*;

fn frame(address: u64) -> Frame {
    let symbol = match address % 3 {
        0 => Symbol::Unknown("no symbol covers it".into()),
        _ => Symbol::Name(format!("f{address}").into()),
    };
    Frame { address, symbol, offset: None, module: None, inlined: false }
}

/// A stack of these addresses, and what it is, to compare across tables.
fn add(table: &mut StackTable, addresses: &[u64]) -> u32 {
    let frames = addresses.iter().map(|address| table.add_frame(frame(*address))).collect();
    table.add_stack(Stack { kernel: Some(Part { frames, gap: None }), user: None })
}

fn addresses(table: &StackTable, stack: u32) -> Vec<u64> {
    let part = table.stack(stack).unwrap().kernel.as_ref().unwrap();
    table.frames(part).map(|frame| frame.address).collect()
}

fn key(stack: u32) -> StackKey {
    StackKey { stack, function: None, pid: None, comm: None }
}

fn counts(pairs: &[(u32, u64)]) -> StackCounts {
    let mut counts = StackCounts::new();
    pairs.iter().for_each(|(stack, count)| counts.add(key(*stack), *count));
    counts
}

#[test]
fn json_is_as_documented() {
    let text = r#"{"frames":[{"address":"ffffffff814ee977","name":"tcp_push_one","offset":0},{"address":"7f0000001000","unknown":"no symbol covers it","module":"/usr/lib/libx.so","inlined":true}],"stacks":[{"kernel":{"frames":[0]},"user":{"frames":[1],"gap":"deeper than 127 frames"}}]}"#;
    let additions: Additions = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&additions).unwrap(), text);
    let mut table = StackTable::new();
    table.append(additions.clone()).unwrap();
    assert_eq!(table.since(Mark::default()), additions);
    let stack = table.stack(0).unwrap();
    let innermost = table.frames(stack.kernel.as_ref().unwrap()).next().unwrap();
    assert_eq!((innermost.address, innermost.offset), (0xffff_ffff_814e_e977, Some(0)));
    let text = r#"{"counts":[{"stack":0,"function":0,"pid":4711,"comm":"java","count":4950},{"stack":1,"count":1}]}"#;
    let counts: StackCounts = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&counts).unwrap(), text);
    assert_eq!(counts.total(), 4951);
}

#[test]
fn a_frame_that_there_is_not_is_refused_and_nothing_kept() {
    let mut table = StackTable::new();
    add(&mut table, &[1, 2]);
    let before = table.clone();
    let text = r#"{"frames":[{"address":"3","name":"f"}],"stacks":[{"kernel":{"frames":[2,3]}}]}"#;
    let error = table.append(serde_json::from_str(text).unwrap()).unwrap_err();
    assert_eq!(error, "a stack has frame 3, there are 3");
    assert_eq!(table, before);
    assert_eq!(counts(&[(7, 1)]).check(&table).unwrap_err(), "there is no stack 7");
    for damaged in [text.replace(r#""3""#, r#""x""#), text.replace(r#""name":"f""#, r#""module":"f""#)] {
        assert!(serde_json::from_str::<Additions>(&damaged).is_err(), "{damaged}");
    }
}

#[test]
fn a_small_file_does_not_become_a_large_text() {
    let mut table = StackTable::new();
    let long = Frame { symbol: Symbol::Name("x".repeat(1 << 20).into()), ..frame(1) };
    let number = table.add_frame(long);
    let frames = vec![number; 1 << 10];
    table.add_stack(Stack { kernel: Some(Part { frames, gap: None }), user: None });
    let error = counts(&[(0, 1)]).check(&table).unwrap_err();
    assert_eq!(error, "the stacks are 1024 MiB as text; at most 256");
}

#[test]
fn counters_that_went_back_have_no_difference() {
    assert_eq!(counts(&[(1, 2)]).since(&counts(&[(1, 3)])), None);
    assert_eq!(counts(&[(1, 2)]).since(&counts(&[(2, 1)])), None);
    assert_eq!(counts(&[(1, 2)]).since(&counts(&[(1, 2)])), Some(StackCounts::new()));
}

#[test]
fn stacks_of_two_recordings_meet_when_their_frames_are_the_same() {
    let (mut a, mut b) = (StackTable::new(), StackTable::new());
    let shared = add(&mut a, &[1, 2]);
    add(&mut b, &[9]);
    add(&mut b, &[1, 2]);
    let numbers = a.merge(&b);
    assert_eq!(numbers, [1, shared]);
    let mut sum = counts(&[(shared, 10)]);
    sum.merge(&counts(&[(0, 1), (1, 5)]).renumbered(&numbers));
    assert_eq!(sum, counts(&[(shared, 15), (1, 1)]));
}

fn stacks() -> impl Strategy<Value = Vec<Vec<u64>>> {
    prop::collection::vec(prop::collection::vec(0u64..20, 0..6), 1..20)
}

fn pairs() -> impl Strategy<Value = Vec<(u32, u64)>> {
    prop::collection::vec((0u32..20, 1u64..1000), 0..30)
}

proptest! {
    #[test]
    fn each_stack_is_there_once_and_found_again(stacks in stacks()) {
        let mut table = StackTable::new();
        let numbers: Vec<u32> = stacks.iter().map(|stack| add(&mut table, stack)).collect();
        for (stack, number) in stacks.iter().zip(&numbers) {
            prop_assert_eq!(&addresses(&table, *number), stack);
            prop_assert_eq!(add(&mut table, stack), *number);
        }
    }

    #[test]
    fn a_table_read_in_pieces_is_the_table(first in stacks(), second in stacks()) {
        let (mut written, mut read) = (StackTable::new(), StackTable::new());
        for stacks in [&first, &second] {
            let mark = written.mark();
            stacks.iter().for_each(|stack| { add(&mut written, stack); });
            let text = serde_json::to_string(&written.since(mark)).unwrap();
            read.append(serde_json::from_str(&text).unwrap()).unwrap();
        }
        prop_assert_eq!(&read, &written);
        // And it goes on from there with the same numbers.
        prop_assert_eq!(add(&mut read, &first[0]), add(&mut written, &first[0]));
    }

    #[test]
    fn merging_keeps_every_stack(a in stacks(), b in stacks()) {
        let (mut merged, mut other) = (StackTable::new(), StackTable::new());
        a.iter().for_each(|stack| { add(&mut merged, stack); });
        let there: Vec<u32> = b.iter().map(|stack| add(&mut other, stack)).collect();
        let numbers = merged.merge(&other);
        for (stack, number) in b.iter().zip(there) {
            prop_assert_eq!(&addresses(&merged, numbers[number as usize]), stack);
            prop_assert_eq!(add(&mut merged, stack), numbers[number as usize]);
        }
    }

    #[test]
    fn a_difference_is_what_was_merged(earlier in pairs(), new in pairs()) {
        let (earlier, new) = (counts(&earlier), counts(&new));
        let mut later = earlier.clone();
        later.merge(&new);
        prop_assert_eq!(later.total(), earlier.total() + new.total());
        prop_assert_eq!(later.since(&earlier), Some(new));
    }
}
