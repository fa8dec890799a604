//! The journal of a repair, by which root writes features, and the history of
//! all: what is read is written and read back the same.
#![no_main]

use hostdiag::offload::fix::history;
use hostdiag::offload::fix::journal::Journal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match Journal::parse(input, "fix-00000000.json") {
        Ok(journal) => {
            // It becomes part of a path.
            assert!(journal.id.len() == 8 && journal.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let _ = (journal.unfinished(), journal.to_undo());
            let written = serde_json::to_vec(&journal).expect("everything can be written");
            let again = Journal::parse(&written, "fix-00000000.json").expect("it was just written");
            assert_eq!(again, journal);
        }
        Err(error) => {
            let _ = format!("{error:#}");
        }
    }
    let (changes, _) = history::parse(input);
    for change in changes {
        let line = serde_json::to_vec(&change).expect("everything can be written");
        assert_eq!(history::parse(&line), (vec![change], Vec::new()));
    }
});
