//! The capabilities of this thread.

use std::fs;

/// A capability that some part of hostdiag asks for. The discriminant is its
/// number, include/uapi/linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Change features, see other network namespaces.
    NetAdmin = 12,
    /// Everything before the finer ones were split off; the kernel takes it
    /// where it asks for `Bpf` or `Perfmon`.
    SysAdmin = 21,
    /// Exceed resource limits.
    SysResource = 24,
    /// Perf events and reading kernel memory from BPF, Linux 5.8.
    Perfmon = 38,
    /// Load BPF programs, Linux 5.8.
    Bpf = 39,
}

impl Capability {
    /// The name as in capabilities(7).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SysResource => "CAP_SYS_RESOURCE",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

/// An effective set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Of the calling thread; none where /proc cannot be read.
    pub fn of_this_thread() -> Self {
        fs::read_to_string("/proc/thread-self/status")
            .ok()
            .and_then(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    /// The line `CapEff:` of /proc/PID/status, 16 hexadecimal digits.
    pub fn parse(status: &str) -> Option<Self> {
        let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(digits.trim(), 16).ok().map(Self)
    }

    /// All of them, as root has.
    pub fn all() -> Self {
        Self(u64::MAX)
    }

    /// Whether the capability itself is in the set.
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// Whether the kernel lets it pass where it asks for `capability`:
    /// `bpf_capable()` and `perfmon_capable()` accept CAP_SYS_ADMIN too
    /// (include/linux/capability.h).
    pub fn grants(self, capability: Capability) -> bool {
        let or_admin = matches!(capability, Capability::Bpf | Capability::Perfmon);
        self.contains(capability) || or_admin && self.contains(Capability::SysAdmin)
    }

    /// The set without one, for the tests of what then is missing.
    #[must_use]
    pub fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read() {
        let text = "Name:\tcat\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000201000\nCapBnd:\t0\n";
        let caps = Capabilities::parse(text).unwrap();
        assert!(caps.contains(Capability::NetAdmin));
        assert!(!caps.contains(Capability::Bpf));
        assert!(caps.grants(Capability::Bpf), "CAP_SYS_ADMIN passes for it");
        assert!(!caps.grants(Capability::SysResource));
        assert!(!caps.without(Capability::SysAdmin).grants(Capability::Bpf));
    }

    #[test]
    fn text_without_the_line_is_no_set() {
        assert_eq!(Capabilities::parse("Name:\tcat\n"), None);
        assert_eq!(Capabilities::parse("CapEff:\txyz\n"), None);
    }
}
