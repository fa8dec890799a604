//! Paths of the types of the kernel that runs, against what libbpf reads of them and
//! against offsets that are followed one by one.

use std::sync::LazyLock;

use libbpf_rs::btf::types::{Array, Composite, Int, MemberAttr, Ptr, Struct};
use libbpf_rs::btf::{Btf, BtfType, HasSize as _, ReferencesType as _, TypeId};
use proptest::prelude::*;

use super::*;
use crate::expression::parse;
use crate::expression::step::machine;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read("/sys/kernel/btf/vmlinux").unwrap());
static TYPES: LazyLock<Types<'static>> = LazyLock::new(|| Types::of(&BYTES, None).unwrap());

/// A function that takes a pointer `p` to this structure.
fn taking(pointer: Id) -> Signature<'static> {
    let typed = Typed { types: &TYPES, parameters: vec![("p", pointer)], returns: 0 };
    Signature { name: "f".into(), takes: Takes::Typed(typed) }
}

fn of_kernel(name: &'static str) -> Signature<'static> {
    Signature::of(name, Some(&TYPES))
}

fn compiled(text: &str, of: &Signature<'_>) -> Result<Compiled, Problem> {
    compile(&parse::path(text).unwrap(), of)
}

/// Memory that has something else at every address.
fn memory(address: u64, size: usize) -> Option<Vec<u8>> {
    let byte = |at: u64| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    Some((0..size as u64).map(|index| byte(address.wrapping_add(index))).collect())
}

fn number_at(address: u64) -> u64 {
    u64::from_le_bytes(memory(address, 8).unwrap().try_into().unwrap())
}

/// What libbpf says is there: a text that leads to it, and its value by hand.
struct Walk {
    text: String,
    /// Where we are.
    address: u64,
    first: bool,
}

/// What a walk comes to: an integer, of which the bits are known.
struct End {
    text: String,
    value: u64,
}

/// A random way from a structure to an integer; `dice` says where to turn. The types
/// are followed as libbpf has them, which shares nothing with our reader.
fn walk(btf: &Btf<'_>, structure: TypeId, dice: &mut dyn FnMut(usize) -> usize) -> Option<End> {
    let mut at = Walk { text: "p".into(), address: 0xffff_8880_1234_5678, first: true };
    let mut of = btf.type_by_id::<BtfType<'_>>(structure)?;
    for _ in 0..5 {
        let inside = Composite::try_from(of).ok()?;
        let named: Vec<_> = inside.iter().filter(|member| member.name.is_some()).collect();
        let member = named.get(dice(named.len().max(1)))?;
        let (offset, bits) = match member.attr {
            MemberAttr::Normal { offset } => (offset, 0),
            MemberAttr::BitField { offset, size } => (offset, u32::from(size)),
        };
        let sign = if at.first { "->" } else { "." };
        at.text.push_str(&format!("{sign}{}", member.name?.to_str()?));
        at.first = false;
        let mut member_of = btf.type_by_id::<BtfType<'_>>(member.ty)?.skip_mods_and_typedefs();
        at.address = at.address.wrapping_add(u64::from(offset / 8));
        if let Ok(array) = Array::try_from(member_of) {
            let index = dice(array.capacity().max(1));
            let element = array.contained_type().skip_mods_and_typedefs();
            let size = size_of(element)?;
            at.text.push_str(&format!("[{index}]"));
            at.address = at.address.wrapping_add(size * index as u64);
            member_of = element;
        }
        if let Ok(pointer) = Ptr::try_from(member_of) {
            at.address = number_at(at.address);
            at.first = true;
            member_of = pointer.referenced_type().skip_mods_and_typedefs();
        }
        if let Ok(int) = Int::try_from(member_of) {
            if at.first {
                // A pointer to it.
                at.text.insert(0, '*');
            }
            return Some(End { value: int_at(at.address, &int, (offset % 8, bits))?, text: at.text });
        }
        of = member_of;
    }
    None
}

fn size_of(of: BtfType<'_>) -> Option<u64> {
    if Ptr::try_from(of).is_ok() {
        return Some(8);
    }
    if let Ok(int) = Int::try_from(of) {
        return Some(u64::from(int.bits) / 8);
    }
    Struct::try_from(of).ok().map(|found| found.size() as u64)
}

/// An integer in memory bit by bit, with its sign.
fn int_at(address: u64, int: &Int<'_>, (first, bits): (u32, u32)) -> Option<u64> {
    use libbpf_rs::btf::types::IntEncoding;
    let wide = if bits > 0 { bits } else { u32::from(int.bits) };
    if wide > 64 || int.bits > 64 {
        return None;
    }
    let first = if bits > 0 { first } else { 0 };
    let bytes = memory(address, 9)?;
    let bit = |n: u32| u64::from(bytes[(n / 8) as usize] >> (n % 8) & 1);
    let value = (0..wide).fold(0, |sum, n| sum | bit(first + n) << n);
    let signed = matches!(int.encoding, IntEncoding::Signed);
    Some(if signed && wide < 64 && value >> (wide - 1) & 1 != 0 { value | u64::MAX << wide } else { value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_paths_fetch_what_is_there(turns in prop::collection::vec(any::<u32>(), 24)) {
        static BTF: LazyLock<usize> = LazyLock::new(|| TYPES.ids().count());
        // Loading is most of the time of a case, so that each takes several walks.
        thread_local! {
            static LOADED: (Btf<'static>, Vec<(Id, Id)>) = {
                let btf = Btf::from_vmlinux().unwrap();
                // Pointers to structures, by number.
                let pointers = TYPES.ids().filter_map(|id| match TYPES.get(id).1 {
                    Type::Pointer(to) => match TYPES.get(to).1 {
                        Type::Struct { .. } => Some((id, to)),
                        _ => None,
                    },
                    _ => None,
                });
                (btf, pointers.collect())
            };
        }
        prop_assert!(*BTF > 1000);
        LOADED.with(|(btf, pointers)| {
            let mut turns = turns.into_iter().cycle();
            let mut dice = |sides: usize| turns.next().unwrap_or(0) as usize % sides.max(1);
            let (pointer, structure) = pointers[dice(pointers.len())];
            let Some(end) = walk(btf, TypeId::from(structure), &mut dice) else { return Ok(()) };
            let signature = taking(pointer);
            let compiled = match compiled(&end.text, &signature) {
                Ok(compiled) => compiled,
                Err(problem) => {
                    // Nothing else is refused.
                    let known = ["more than 8 bytes", "steps to get there", " elements, 0 to"];
                    prop_assert!(known.iter().any(|known| problem.what.contains(known)), "{}: {problem:?}", end.text);
                    return Ok(());
                }
            };
            let swapped = compiled.steps.iter().any(|step| matches!(step, Step::Swap(_)));
            if compiled.form == Form::Text || swapped {
                return Ok(());
            }
            let found = machine::value(&compiled.steps, &[0xffff_8880_1234_5678], &memory);
            prop_assert_eq!(found, Some(end.value), "{}: {:?}", end.text, compiled.steps);
            Ok(())
        })?;
    }
}

/// Most walks have to come to something, or nothing is shown by them.
#[test]
fn many_walks_come_to_an_integer() {
    let btf = Btf::from_vmlinux().unwrap();
    let sock = btf.type_by_name::<Struct<'_>>("sock").unwrap().type_id();
    let mut state = 1_u64;
    let mut dice = |sides: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % sides.max(1)
    };
    let ends: Vec<End> = (0..1000).filter_map(|_| walk(&btf, sock, &mut dice)).collect();
    assert!(ends.len() > 300, "{}", ends.len());
    assert!(ends.iter().filter(|end| end.text.matches("->").count() > 1).count() > 20);
}

#[test]
fn arguments_and_returns_are_what_their_types_say() {
    let send = of_kernel("tcp_sendmsg");
    let size = compiled("size", &send).unwrap();
    assert_eq!((size.steps.as_slice(), size.signed), (&[Step::Argument(2)][..], false));
    assert_eq!(compiled("arg3", &send).unwrap(), size);
    let returned = compiled("$ret", &send).unwrap();
    assert_eq!(machine::value(&returned.steps, &[0xdead_ffff_ffff; 16], &memory), Some(u64::MAX));
    assert!(returned.at_return && returned.signed);
    let port = compiled("sk->__sk_common.skc_dport", &send).unwrap();
    let bytes = |_, size| Some(vec![0x1f, 0x90][..size].to_vec());
    assert_eq!(machine::value(&port.steps, &[1], &bytes), Some(8080));
    // What cannot be read is not 0.
    assert_eq!(machine::value(&port.steps, &[1], &|_, _| None), None);
}

#[test]
fn texts_names_and_bits_are_known() {
    let device = compiled("skb->dev->name", &of_kernel("__dev_queue_xmit")).unwrap();
    assert_eq!((device.form, device.length), (Form::Text, Some(16)));
    let file = compiled("file->f_path.dentry->d_name.name", &of_kernel("vfs_read")).unwrap();
    assert_eq!((file.form, file.length), (Form::Text, None));
    let bits = compiled("sk->sk_no_check_tx", &of_kernel("tcp_sendmsg")).unwrap();
    assert!(matches!(bits.steps[..], [_, Step::Load { size: 1, .. }, Step::Bits { .. }]), "{bits:?}");
    let kernel = compiled("sk->sk_socket->state", &of_kernel("tcp_sendmsg")).unwrap();
    let Form::Enum(names) = kernel.form else { panic!("{:?}", kernel.form) };
    assert!(names.contains(&(3, "SS_CONNECTED".to_owned())), "{names:?}");
    let pointer = compiled("sk", &of_kernel("tcp_sendmsg")).unwrap();
    assert_eq!(pointer.form, Form::Pointer);
}

#[test]
fn what_cannot_be_had_is_refused_with_its_place() {
    for (function, text, at, what) in [
        ("tcp_sendmsg", "arg4", 0, "tcp_sendmsg takes 3 arguments"),
        ("tcp_sendmsg", "sk.sk_type", 2, "this is a pointer"),
        ("tcp_sendmsg", "sk->sk_typ", 4, "struct sock has no member \"sk_typ\""),
        ("tcp_sendmsg", "size->x", 4, "size_t is no pointer"),
        ("tcp_sendmsg", "*sk", 0, "struct sock is no value but has members"),
        ("tcp_sendmsg", "*msg->msg_iter", 0, "struct iov_iter is no pointer"),
        ("__dev_queue_xmit", "skb->dev->name[16]", 14, "it has 16 elements, 0 to 15"),
        ("__dev_queue_xmit", "skb->cb->x", 7, "char[48] is no pointer"),
        ("mod_timer", "timer->expires.x", 15, "long unsigned int has no members"),
        ("nothing_of_that_name", "size", 0, "nothing_of_that_name: names of arguments are not known"),
        ("nothing_of_that_name", "arg7", 0, "arg7 is not in a register"),
        ("nothing_of_that_name", "arg1->x", 4, "nothing_of_that_name: what it points to is not known"),
        ("kfree", "$ret", 0, "kfree returns nothing"),
    ] {
        let problem = compiled(text, &of_kernel(function)).unwrap_err();
        assert!(problem.at == at && problem.what.starts_with(what), "{text}: {problem:?}");
    }
    let chain = format!("skb{}", "->next".repeat(20));
    let problem = compiled(&chain, &of_kernel("__dev_queue_xmit")).unwrap_err();
    assert_eq!(problem.what, "it takes more than 16 steps to get there");
}

fn holds(text: &str, arguments: [u64; 3], returned: u64) -> Option<bool> {
    let mut all = arguments.to_vec();
    all.resize(16, 0);
    all[15] = returned;
    holds_in(text, &all, &|_, _| None)
}

fn holds_in(text: &str, arguments: &[u64], memory: machine::Memory<'_>) -> Option<bool> {
    let test = super::condition(&parse::condition(text).unwrap(), &of_kernel("tcp_sendmsg")).unwrap();
    let steps: Vec<Step> = [test.entry, test.exit, test.logic].concat();
    machine::decide(&steps, arguments, memory)
}

#[test]
fn conditions_hold_or_do_not_or_cannot_be_read() {
    for (text, size, returned, holding) in [
        ("size > 4096", 4097, 0, Some(true)),
        ("size > 4096", 4096, 0, Some(false)),
        ("size >= 0x1000 && size <= 4096", 4096, 0, Some(true)),
        ("size != 4 || size == 4", 4, 0, Some(true)),
        ("!size", 0, 0, Some(true)),
        ("size & 3 == 2", 6, 0, Some(true)),
        ("$ret < 0", 1, 0xffff_fff5, Some(true)),
        ("$ret == -11 && size == 1", 1, 0xffff_fff5, Some(true)),
        ("$ret > -11 || size > 1", 1, 0xffff_fff5, Some(false)),
        // Nothing can be read here.
        ("sk->sk_type == 1", 1, 0, None),
        ("sk->sk_type == 1 && size == 2", 1, 0, Some(false)),
        ("sk->sk_type == 1 || size == 1", 1, 0, Some(true)),
        ("!(sk->sk_type == 1)", 1, 0, None),
        ("sk->sk_socket->state == SS_CONNECTED || size == TCP_CLOSE", 7, 0, Some(true)),
    ] {
        assert_eq!(holds(text, [0, 0, size], returned), holding, "{text}");
    }
    let too_long = format!("sk->__sk_common.skc_prot->name == {:?}", "x".repeat(33));
    for (text, at) in [
        ("size == -1", 8),
        ("size == NO_SUCH_NAME", 8),
        ("$ret < 9223372036854775808", 7),
        (r#"size == "4""#, 8),
        (r#"sk->__sk_common.skc_prot->name < "TCP""#, 33),
        ("sk->__sk_common.skc_prot->name == TCP", 34),
        (r#"sk->__sk_common.skc_prot->name & 1 == "TCP""#, 0),
        (&too_long, 34),
    ] {
        let parsed = parse::condition(text).unwrap();
        assert_eq!(super::condition(&parsed, &of_kernel("tcp_sendmsg")).unwrap_err().at, at, "{text}");
    }
}

#[test]
fn texts_are_compared_as_a_whole() {
    const PROTOCOL: u64 = 0xffff_8880_0000_1000;
    let name = compiled("sk->__sk_common.skc_prot->name", &of_kernel("tcp_sendmsg")).unwrap();
    let (Some(Step::Add(offset)), Some(32)) = (name.steps.last(), name.length) else { panic!("{name:?}") };
    let at = PROTOCOL + offset;
    let full = "0123456789abcdef0123456789abcdef";
    for (is, other, same) in [
        ("TCP", "TCP", true),
        ("TCP", "TCPv6", false),
        ("TCPv6", "TCP", false),
        ("", "", true),
        ("TCP", "", false),
        ("12345678", "12345678", true),
        ("123456789", "12345678", false),
        ("12345678", "123456789", false),
        ("12345678 quoted", "12345678 quoted", true),
        (full, full, true),
        (full, "0123456789abcdef0123456789abcdeF", false),
    ] {
        let mut text = is.as_bytes().to_vec();
        // Behind a text is whatever was there before.
        text.extend([&[0][..], &[b'x'; 32]].concat());
        let memory = |address: u64, size: usize| match address.checked_sub(at) {
            Some(from @ ..32) => {
                text.get(from as usize..).and_then(|text| text.get(..size)).map(<[u8]>::to_vec)
            }
            _ => Some(PROTOCOL.to_le_bytes()[..size].to_vec()),
        };
        for (how, expected) in [("==", same), ("!=", !same)] {
            let condition = format!("sk->__sk_common.skc_prot->name {how} {other:?} && size == 1");
            let mut arguments = [1; 16];
            assert_eq!(holds_in(&condition, &arguments, &memory), Some(expected), "{is:?}: {condition}");
            arguments[2] = 2;
            assert_eq!(holds_in(&condition, &arguments, &memory), Some(false), "{is:?}: {condition}");
        }
    }
}
