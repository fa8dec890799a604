//! Names of network devices that tell nothing of whose they are.

/// What the kernel, udev and container networks call devices, before numbers.
const USUAL: [&str; 52] = [
    "bond",
    "br",
    "cali",
    "can",
    "cni",
    "docker",
    "dummy",
    "em",
    "en",
    "eno",
    "enp",
    "ens",
    "erspan",
    "eth",
    "flannel",
    "gre",
    "gretap",
    "ib",
    "ifb",
    "ip6gre",
    "ip6tnl",
    "ip6_vti",
    "ip_vti",
    "ipvlan",
    "kube-ipvs",
    "lo",
    "lxc",
    "lxcbr",
    "macvlan",
    "macvtap",
    "nlmon",
    "p",
    "pan",
    "podman",
    "port",
    "ppp",
    "sit",
    "swp",
    "tap",
    "team",
    "tun",
    "tunl",
    "usb",
    "vcan",
    "veth",
    "virbr",
    "vlan",
    "vmbr",
    "vnet",
    "vxlan",
    "wg",
    "wl",
];
/// And what others call one, to the letter.
const EXACT: [&str; 9] = [
    "br-ex",
    "br-int",
    "br-tun",
    "cilium_host",
    "cilium_net",
    "cilium_vxlan",
    "kube-bridge",
    "nodelocaldns",
    "ovs-system",
];
/// Those that have a random number in base 16 behind them.
const RANDOM: [&str; 6] = ["br-", "cali", "lxc", "tap", "veth", "vnet"];

/// Whether a name is made of such words and numbers: `eth0`, `enp3s0f1`, `bond0.10`,
/// `veth1a2b3c4`.
pub(super) fn is_usual(name: &str) -> bool {
    let random = |rest: &str| {
        rest.len() >= 6
            && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && rest.bytes().any(|byte| byte.is_ascii_digit())
    };
    let rest_of = |words: &[&str], fits: fn(&str) -> bool| {
        words.iter().filter_map(|word| name.strip_prefix(word)).any(fits)
    };
    EXACT.contains(&name) || rest_of(&USUAL, is_numbers) || rest_of(&RANDOM, random)
}

/// Numbers, each with a sign or a letter before it: `3s0f1.10`. None is `x`: a hardware
/// address stands behind that.
fn is_numbers(rest: &str) -> bool {
    let mut letters = 0;
    let mut last = None;
    for byte in rest.bytes() {
        match byte {
            b'0'..=b'9' => letters = 0,
            b'.' | b':' | b'-' | b'_' => {}
            b'p' | b's' | b'f' | b'n' | b'd' | b'v' | b'i' | b'o' | b'r' if letters == 0 => letters = 1,
            b'p' if letters == 1 && last == Some(b'n') => letters = 2,
            _ => return false,
        }
        last = Some(byte);
    }
    last.is_none_or(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_system_are_usual() {
        for name in [
            "lo",
            "eth0",
            "enp3s0f1np1",
            "eno1",
            "ens192",
            "bond0",
            "bond0.10",
            "vlan10",
            "team0",
            "vmbr0",
            "docker0",
            "br-1a2b3c4d5e6f",
            "veth1a2b3c4",
            "cali0123456789a",
            "flannel.1",
            "wlp2s0",
            "ens3d1",
            "ovs-system",
            "br0",
            "tun0",
        ] {
            assert!(is_usual(name), "{name}");
        }
        for name in
            ["acme0", "br-acme", "tap-bob", "enx001122334455", "web", "vethacme", "eth-dmz", "vlan-dmz10", ""]
        {
            assert!(!is_usual(name), "{name}");
        }
    }
}
