//! Every function of the kernel at once.
use hostdiag_model::trace::Ended;

use crate::lab::{Traced, Tracing, btf, refused_trace, wait_until};

/// Where it goes in one go it is done; where it does not, it is said how many.
#[test]
fn funccount_counts_every_function_or_asks() {
    if !btf("bpf_kprobe_multi_link") {
        let (status, said) = refused_trace(&["funccount", "*"]);
        assert_eq!(status, Some(2), "{said}");
        let number = said.split_whitespace().find_map(|word| word.parse::<usize>().ok());
        assert!(number.is_some_and(|number| number > 20_000), "{said}");
        let why = "functions would be attached one by one";
        assert!(
            said.contains(why) && said.contains("[too-many-functions]") && said.contains("--yes"),
            "{said}"
        );
        return;
    }
    let enabled = || std::fs::read_to_string("/sys/kernel/tracing/enabled_functions").unwrap();
    let before = enabled();
    // Emulated, it takes more of the CPUs than is allowed otherwise.
    let args = ["funccount", "--format", "json", "--duration", "2s", "--max-overhead", "100", "--yes", "*"];
    let traced = Traced::of(Tracing::start(&args).wait());
    assert_eq!((traced.status, traced.accounting().ended), (Some(0), Ended::Duration), "{}", traced.said);
    let head = &traced.trace().head;
    assert!(head.functions().count() > 20_000, "{}", traced.said);
    let calls: u64 = traced.trace().windows.iter().map(|window| window.payload.events()).sum();
    assert_eq!(traced.accounting().entries, Some(calls));
    assert!(calls > 0, "{}", traced.said);
    wait_until("the kernel has let go of everything", || enabled() == before);
}
