//! What the kernel computes of sets of features: the rules that hold for every
//! device, and those of VLANs and of masters.

use super::bits::{Bits, Names};

/// Sets by their names in include/linux/netdev_features.h (without `NETIF_F_`),
/// and what differs between kernels.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    sg: Bits,
    hw_csum: Bits,
    ip_csum: Bits,
    ipv6_csum: Bits,
    gso: Bits,
    gro: Bits,
    tso: Bits,
    tso6: Bits,
    tso_ecn: Bits,
    tso_mangleid: Bits,
    uso: Bits,
    gso_software: Bits,
    one_for_all: Bits,
    all_for_all: Bits,
    vlan_challenged: Bits,
    lltx: Bits,
    rxcsum: Bits,
    rxfcs: Bits,
    gro_hw: Bits,
    tls_tx: Bits,
    tls_rx: Bits,
    /// `LRO`, the one member of `UPPER_DISABLES`.
    pub(super) lro: Bits,
    /// `GSO_ESP`.
    pub(super) esp: Bits,
    /// `GSO_PARTIAL`.
    pub(super) partial: Bits,
    esp_hw: Bits,
    esp_csum: Bits,
    /// USO needs checksums: since 6.11.
    pub(super) uso_needs_csum: bool,
    /// `netdev_add_tso_features` leaves `ALL_FOR_ALL` alone: since December 2025
    /// and in stable kernels of that time.
    pub(super) tso_keeps_all_for_all: bool,
    /// A bond has TLS by its mode alone, and TLS needs checksums: since 5.11.
    pub(super) tls_on_bonds: bool,
}

impl Rules {
    /// The rules of the kernel that has these names. Of 5.11 are that USO and
    /// fraglist GSO are members of `GSO_SOFTWARE`, and TLS on bonds.
    pub(super) fn of(names: &Names, since_5_11: bool) -> Self {
        let bit = |name| names.bit(name);
        let (tso, tso6) = (bit("tx-tcp-segmentation"), bit("tx-tcp6-segmentation"));
        let (tso_ecn, tso_mangleid) = (bit("tx-tcp-ecn-segmentation"), bit("tx-tcp-mangleid-segmentation"));
        let uso = bit("tx-udp-segmentation");
        let gso_software = tso | tso6 | tso_ecn | tso_mangleid;
        let gso_software = gso_software | bit("tx-sctp-segmentation") | bit("tx-tcp-accecn-segmentation");
        let gso_software = gso_software | if since_5_11 { uso | bit("tx-gso-list") } else { 0 };
        let (sg, vlan_challenged) = (bit("tx-scatter-gather"), bit("vlan-challenged"));
        let rest = names.bits(["tx-gso-robust", "highdma", "tx-scatter-gather-fraglist"]);
        Self {
            sg,
            hw_csum: bit("tx-checksum-ip-generic"),
            ip_csum: bit("tx-checksum-ipv4"),
            ipv6_csum: bit("tx-checksum-ipv6"),
            gso: bit("tx-generic-segmentation"),
            gro: bit("rx-gro"),
            tso,
            tso6,
            tso_ecn,
            tso_mangleid,
            uso,
            gso_software,
            one_for_all: gso_software | sg | vlan_challenged | rest,
            all_for_all: names.bits(["tx-nocache-copy", "tx-fcoe-segmentation"]),
            vlan_challenged,
            lltx: bit("tx-lockless"),
            rxcsum: bit("rx-checksum"),
            rxfcs: bit("rx-fcs"),
            gro_hw: bit("rx-gro-hw"),
            tls_tx: bit("tls-hw-tx-offload"),
            tls_rx: bit("tls-hw-rx-offload"),
            lro: bit("rx-lro"),
            esp: bit("tx-esp-segmentation"),
            partial: bit("tx-gso-partial"),
            esp_hw: bit("esp-hw-offload"),
            esp_csum: bit("esp-tx-csum-hw-offload"),
            uso_needs_csum: true,
            tso_keeps_all_for_all: true,
            tls_on_bonds: since_5_11,
        }
    }

    fn all_tso(&self) -> Bits {
        self.tso | self.tso6 | self.tso_ecn | self.tso_mangleid
    }

    /// Checksums of any kind.
    pub(super) fn csum(&self) -> Bits {
        self.hw_csum | self.ip_csum | self.ipv6_csum
    }

    /// Both features of TLS.
    pub(super) fn tls(&self) -> Bits {
        self.tls_tx | self.tls_rx
    }

    /// The only features of `ALL_FOR_ALL`.
    pub(super) fn all_for_all(&self) -> Bits {
        self.all_for_all
    }

    /// The TSO of IPv4.
    pub(super) fn tso(&self) -> Bits {
        self.tso
    }

    /// USO.
    pub(super) fn uso(&self) -> Bits {
        self.uso
    }

    /// Checksums of TCP and UDP over both versions of IP.
    pub(super) fn has_csum(&self, f: Bits) -> bool {
        let both = self.ip_csum | self.ipv6_csum;
        f & self.hw_csum != 0 || both != 0 && f & both == both
    }

    /// Whether the others never hear of a change: xfrm breaks off the chain of
    /// notifiers (net/xfrm/xfrm_device.c, `xfrm_api_check`).
    pub(super) fn silent(&self, f: Bits) -> bool {
        f & self.esp_csum != 0 && f & self.esp_hw == 0
    }

    /// What every device keeps to (net/core/dev.c, `netdev_fix_features`). Not
    /// here: `gso_partial_features`, which no user API shows.
    pub(super) fn core(&self, mut f: Bits) -> Bits {
        // What has no name here may be on.
        let lacks = |f: Bits, needed: Bits| needed != 0 && f & needed == 0;
        if f & self.hw_csum != 0 {
            f &= !(self.ip_csum | self.ipv6_csum);
        }
        if lacks(f, self.sg) {
            f &= !self.all_tso();
        }
        if lacks(f, self.hw_csum | self.ip_csum) {
            f &= !(self.tso | self.tso_ecn);
        }
        if lacks(f, self.hw_csum | self.ipv6_csum) {
            f &= !self.tso6;
        }
        if lacks(f, self.tso) {
            f &= !self.tso_mangleid;
        }
        if lacks(f, self.all_tso() & !self.tso_ecn) {
            f &= !self.tso_ecn;
        }
        if lacks(f, self.sg) {
            f &= !self.gso;
        }
        if lacks(f, self.rxcsum) {
            f &= !(self.gro_hw | self.tls_rx);
        }
        if f & self.rxfcs != 0 {
            f &= !(self.lro | self.gro_hw);
        }
        if f & self.gro_hw != 0 {
            f &= !self.lro;
        }
        if self.csum() != 0 && !self.has_csum(f) {
            f &= !(if self.tls_on_bonds { self.tls_tx } else { 0 });
            f &= !(if self.uso_needs_csum { self.uso } else { 0 });
        }
        f
    }

    /// What many drivers add to that: no LRO of what was not checked
    /// (`vmxnet3_fix_features`, `ixgbe_fix_features`).
    pub(super) fn driver(&self, f: Bits) -> Bits {
        if self.rxcsum != 0 && f & self.rxcsum == 0 { f & !self.lro } else { f }
    }

    /// include/linux/netdevice.h, `netdev_intersect_features`.
    fn intersect(&self, mut a: Bits, mut b: Bits) -> Bits {
        if (a ^ b) & self.hw_csum != 0 {
            let lacking = if a & self.hw_csum != 0 { &mut a } else { &mut b };
            *lacking |= self.ip_csum | self.ipv6_csum;
        }
        a & b
    }

    /// A VLAN on a device with these features that offers it `offered`
    /// (net/8021q/vlan_dev.c, `vlan_dev_fix_features`).
    pub(super) fn vlan(&self, f: Bits, below: Bits, offered: Bits) -> Bits {
        let mut lower = self.intersect(offered | self.rxcsum, below);
        if lower & (self.ip_csum | self.ipv6_csum) != 0 {
            lower |= self.hw_csum;
        }
        self.intersect(f, lower) | f & self.kept_by_vlan() | self.lltx
    }

    /// What a VLAN does without regard to the device below.
    fn kept_by_vlan(&self) -> Bits {
        self.gso | self.gro | self.gso_software
    }

    /// A master of ports with these features (drivers/net/bonding/bond_main.c,
    /// `bond_fix_features`; `team_fix_features` is the same).
    pub(super) fn aggregate(&self, f: Bits, ports: impl Iterator<Item = Bits>) -> Bits {
        self.union(f & !self.one_for_all | self.all_for_all, ports, f)
    }

    /// net/bridge/br_if.c, `br_features_recompute`; without ports nothing is
    /// taken away.
    pub(super) fn bridge(&self, f: Bits, ports: impl Iterator<Item = Bits>) -> Bits {
        self.union(f & !self.one_for_all, ports, f)
    }

    fn union(&self, start: Bits, ports: impl Iterator<Item = Bits>, mask: Bits) -> Bits {
        let all = ports.fold(start, |all, port| self.increment(all, port, mask));
        let kept = if self.tso_keeps_all_for_all { self.all_for_all } else { 0 };
        self.increment(all, self.all_tso() | kept, mask)
    }

    /// net/core/dev.c, `netdev_increment_features`.
    fn increment(&self, mut all: Bits, one: Bits, mut mask: Bits) -> Bits {
        if mask & self.hw_csum != 0 {
            mask |= self.csum();
        }
        mask |= self.vlan_challenged;
        all |= one & (self.one_for_all | self.csum()) & mask;
        all &= one | !self.all_for_all;
        if all & self.hw_csum != 0 {
            all &= !(self.ip_csum | self.ipv6_csum);
        }
        all
    }
}
