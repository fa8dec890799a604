//! The kernel is what its role stands for, by `scripts/vm/roles`.
use std::fs;
use std::process::Command;

const ROLES: &str = include_str!("../../../scripts/vm/roles");

/// Whether this kernel has what a `fact` line of the roles file names.
fn holds(kind: &str, name: &str) -> bool {
    match kind {
        "btf" => {
            let btf = fs::read("/sys/kernel/btf/vmlinux").unwrap();
            let string = format!("\0{name}\0");
            String::from_utf8_lossy(&btf).contains(&string)
        }
        "config" => {
            let release = nix::sys::utsname::uname().unwrap().release().to_owned();
            let path = format!("/boot/config-{}", release.display());
            let config = fs::read_to_string(path).unwrap();
            let [yes, module] = ["y", "m"].map(|value| format!("CONFIG_{name}={value}"));
            config.lines().any(|line| line == yes || line == module)
        }
        "feature" => {
            let output = Command::new("ethtool").args(["-k", "lo"]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().any(|line| line.trim_start().starts_with(&format!("{name}:")))
        }
        "module" => Command::new("modprobe").arg(name).status().unwrap().success(),
        _ => panic!("scripts/vm/roles has a fact of unknown kind '{kind}'"),
    }
}

#[test]
fn lab_role_facts() {
    let role = std::env::var("HOSTDIAG_ROLE").expect("scripts/vm/run sets HOSTDIAG_ROLE");
    let mut checked = 0;
    for line in ROLES.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["fact", of, kind, name, expected] = words[..] else { continue };
        if of != role && of != "every" {
            continue;
        }
        assert_eq!(holds(kind, name), expected == "yes", "{line}");
        checked += usize::from(of == role);
    }
    assert!(checked > 0, "scripts/vm/roles states no fact of role '{role}'");
}
