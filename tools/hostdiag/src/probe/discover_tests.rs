//! Functions are found in what a kernel prints.

use super::*;

const TRACEABLE: &str = "tcp_sendmsg\ntcp_ack.isra.0\nptep_get\nptep_get\nonce\nrcu_read_lock_held\n\
                         nft_do_chain [nf_tables]\n__x64_sys_getpgid\n";
const KALLSYMS: &str = "0000000000000000 A fixed_percpu_data\n\
                        ffffffff81000010 T tcp_sendmsg\n\
                        ffffffff81000020 t tcp_ack.isra.0\n\
                        ffffffff81000030 t ptep_get\n\
                        ffffffff81000040 t ptep_get\n\
                        ffffffff81000050 t once\n\
                        ffffffff81000060 t once\n\
                        ffffffff81000070 T getpgid_alias\n\
                        ffffffff81000070 T __x64_sys_getpgid\n\
                        ffffffff81000080 T hidden_code\n\
                        ffffffff81000090 D jiffies\n\
                        ffffffffc0000010 t nft_do_chain\t[nf_tables]\n\
                        ffffffffc0001000 t bpf_prog_1234\t[bpf]\n";

fn lists() -> Lists {
    Lists::from_text(Some(TRACEABLE), None, KALLSYMS)
}

fn search(patterns: &[&str], skip: &[&str]) -> Result<Matches, Failure> {
    let names: Vec<Names> = patterns.iter().map(|text| Names::plain(text)).collect();
    let wanted: Vec<Wanted<'_>> =
        patterns.iter().zip(&names).map(|(text, names)| Wanted { text, module: None, names }).collect();
    let skip: Vec<Names> = skip.iter().map(|text| Names::plain(text)).collect();
    find(&lists(), &wanted, &skip, |_| false)
}

fn matches_of(lists: &Lists, text: &str) -> Matches {
    let names = Names::plain(text);
    find(lists, &[Wanted { text, module: None, names: &names }], &[], |_| false).unwrap()
}

fn names(matches: &Matches) -> Vec<&str> {
    matches.found.keys().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn names_clones_and_duplicates_are_found() {
    let matches = search(&["tcp_ack", "ptep_*", "tcp_sendmsg", "nft_*"], &[]).unwrap();
    assert_eq!(names(&matches), ["nft_do_chain", "ptep_get", "tcp_ack.isra.0", "tcp_sendmsg"]);
    assert_eq!(matches.found[&("ptep_get".into(), None)], 2);
}

#[test]
fn what_would_hang_the_host_and_what_was_left_out_is_skipped_with_its_reason() {
    let matches = search(&["*"], &["tcp_*"]).unwrap();
    let reasons: Vec<_> = matches.skipped.iter().map(|one| (one.name.as_str(), &one.reason)).collect();
    assert_eq!(
        reasons,
        [
            ("rcu_read_lock_held", &SkipReason::Denied),
            ("tcp_ack.isra.0", &SkipReason::Asked),
            ("tcp_sendmsg", &SkipReason::Asked)
        ]
    );
    assert_eq!(names(&matches), ["__x64_sys_getpgid", "nft_do_chain", "once", "ptep_get"]);
}

#[test]
fn every_function_of_a_name_has_its_address() {
    let mut matches = search(&["*"], &[]).unwrap();
    let addresses = matches.addresses(&lists());
    assert_eq!(addresses[&("ptep_get".into(), None)], [0xffff_ffff_8100_0030, 0xffff_ffff_8100_0040]);
    assert_eq!(addresses[&("nft_do_chain".into(), Some("nf_tables".into()))], [0xffff_ffff_c000_0010]);
    // Two functions, of which one can be traced: which one, nobody knows.
    let once = matches.skipped.iter().find(|one| one.name == "once").unwrap();
    assert_eq!(once.reason, SkipReason::Ambiguous);
    assert!(!matches.found.contains_key(&("once".into(), None)));
}

/// Newer kernels list the address of each function that can be traced, or of an
/// instruction behind it, so that none is mistaken for another.
#[test]
fn a_list_with_addresses_tells_functions_of_one_name_apart() {
    let placed = "ffffffff81000034 ptep_get\nffffffff81000040 ptep_get\nffffffff81000064 once\n\
                  ffffffffc0000014 nft_do_chain [nf_tables]\nffffffff81000014 tcp_sendmsg\n";
    let lists = Lists::from_text(Some(TRACEABLE), Some(placed), "");
    let all = HashMap::from([
        (("ptep_get".into(), None), vec![0xffff_ffff_8100_0030, 0xffff_ffff_8100_0040]),
        (("once".into(), None), vec![0xffff_ffff_8100_0060]),
        (("nft_do_chain".into(), Some("nf_tables".into())), vec![0xffff_ffff_c000_0010]),
    ]);
    for text in ["ptep_get", "once", "nft_do_chain"] {
        let mut matches = matches_of(&lists, text);
        let found = matches.addresses(&lists);
        assert_eq!((found.len(), matches.skipped.len()), (1, 0), "{text}");
        assert!(found.iter().all(|(key, addresses)| all[key] == *addresses), "{text}");
    }
    // Read in one go, without those that are left out.
    let (names, skip) = (Names::plain("*"), [Names::plain("tcp_*")]);
    let wanted = [Wanted { text: "*", module: None, names: &names }];
    let mut matches = find(&lists, &wanted, &skip, |_| false).unwrap();
    assert_eq!(matches.addresses(&Lists::default()), all);
}

#[test]
fn hidden_addresses_are_not_used() {
    let mut matches = search(&["tcp_sendmsg"], &[]).unwrap();
    let hidden = Lists::from_text(Some(TRACEABLE), None, "0000000000000000 T tcp_sendmsg\n");
    assert!(matches.addresses(&hidden).is_empty());
    assert_eq!(matches.skipped[0].reason, SkipReason::NoAddress);
}

#[test]
fn without_the_kernels_list_names_come_from_its_symbols_and_types() {
    let names_wanted = Names::plain("*");
    let wanted = [Wanted { text: "*", module: None, names: &names_wanted }];
    let lists = Lists::from_text(None, None, KALLSYMS);
    let mut matches = find(&lists, &wanted, &[], |name| name != "hidden_code").unwrap();
    assert!(matches.found.contains_key(&("once".into(), None)));
    assert!(!matches.found.contains_key(&("hidden_code".into(), None)));
    assert!(!names(&matches).contains(&"jiffies"), "no function");
    assert!(!names(&matches).contains(&"bpf_prog_1234"), "a program");
    assert_eq!(matches.addresses(&lists)[&("once".into(), None)].len(), 2);
}

#[test]
fn what_is_not_there_is_explained() {
    let failure = |pattern| search(&[pattern], &[]).unwrap_err();
    let near = failure("tcp_sendmg");
    assert_eq!((near.code, near.hint.as_deref()), (Code::NoSuchFunction, Some("did you mean tcp_sendmsg?")));
    assert!(failure("completely_elsewhere").hint.unwrap().contains("inlined"));
    assert_eq!(failure("hidden_code").code, Code::NotTraceable);
    assert_eq!(failure("getpgid_alias").hint.unwrap(), "it is listed under another name: __x64_sys_getpgid");
    let none = failure("xfs_*");
    assert_eq!((none.code, none.hint.as_deref().unwrap().contains("--list '*xfs*'")), (Code::NoMatch, true));
}

#[test]
fn a_module_is_the_only_place_to_look() {
    let names = Names::plain("*");
    let of = |module| {
        let wanted = [Wanted { text: "*", module: Some(module), names: &names }];
        find(&lists(), &wanted, &[], |_| false).map(|matches| matches.found.len())
    };
    assert_eq!(of("nf_tables").unwrap(), 1);
    assert_eq!(of("vmlinux").unwrap(), 5);
    assert!(of("xfs").is_err());
}

#[test]
fn names_of_one_thing_alone_are_known() {
    let kallsyms = "0000 t one_open\t[a]\n0001 t open\t[a]\n0002 t open\t[b]\n0003 d state\n\
                    0004 t state\t[a]\n0005 T alone\n";
    let lists = Lists::from_text(None, None, kallsyms);
    let wanted = HashSet::from(["one_open", "open", "state", "absent"]);
    assert_eq!(only(&lists, &wanted), HashSet::from(["one_open".to_owned()]));
}

#[test]
fn what_can_be_traced_is_picked_out_of_names() {
    let lists = Lists::from_text(Some("tcp_ack.isra.0\nnf_hook [nf]\nmigrate_disable\n"), None, "");
    let wanted = HashSet::from(["tcp_ack", "nf_hook", "migrate_disable", "native_halt"]);
    let mut found: Vec<String> = traceable(&lists, &wanted).into_iter().collect();
    found.sort_unstable();
    assert_eq!(found, ["nf_hook", "tcp_ack"]);
    assert_eq!(traceable(&Lists::from_text(None, None, ""), &wanted).len(), 3);
}
