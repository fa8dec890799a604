//! The features that are judged, and what each needs on its own device. All
//! others are noise: every VLAN has a dozen `off [requested on]` for good
//! reason (net/8021q/vlan_dev.c, `vlan_dev_fix_features`).

use hostdiag_model::{FeatureName, FeatureState, Features};

/// Scatter-gather: without it the kernel copies every packet that is sent.
pub const SG: &str = "tx-scatter-gather";
/// Checksums of any protocol.
pub const CSUM: &str = "tx-checksum-ip-generic";
/// Checksums of TCP and UDP over IPv4, on older hardware.
pub const CSUM4: &str = "tx-checksum-ipv4";
/// Checksums of TCP and UDP over IPv6, on older hardware.
pub const CSUM6: &str = "tx-checksum-ipv6";
/// Large receive offload.
pub const LRO: &str = "rx-lro";
/// TCP segmentation that ECN can come with.
const TSO: [&str; 3] = ["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-mangleid-segmentation"];

/// What a feature needs on its own device before the kernel lets it be on
/// (net/core/dev.c, `netdev_fix_features`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Scatter-gather.
    ScatterGather,
    /// Checksums for IPv4.
    Checksum4,
    /// Checksums for IPv6.
    Checksum6,
    /// TCP segmentation of another kind: ECN is a variant of it.
    Segmentation,
}

impl Need {
    /// Whether a device has it.
    pub fn met(self, features: &Features) -> bool {
        match self {
            Self::ScatterGather => features.active(SG),
            Self::Checksum4 => features.active(CSUM) || features.active(CSUM4),
            Self::Checksum6 => features.active(CSUM) || features.active(CSUM6),
            Self::Segmentation => TSO.iter().any(|name| features.active(name)),
        }
    }

    /// Whether that feature provides it.
    fn met_by(self, feature: &str) -> bool {
        match self {
            Self::ScatterGather => feature == SG,
            Self::Checksum4 => feature == CSUM || feature == CSUM4,
            Self::Checksum6 => feature == CSUM || feature == CSUM6,
            Self::Segmentation => TSO.contains(&feature),
        }
    }
}

/// How a feature is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Whichever way it is lost, on any device.
    Full,
    /// Only where it was switched off on a VLAN, bond or team; in other states
    /// and places it is off as often as on.
    WishOnly,
    /// Never by itself; named where another takes it down.
    Follower,
}

/// A feature and what it needs.
pub struct Watched {
    /// Name.
    pub name: &'static str,
    /// Needs, all of them.
    pub needs: &'static [Need],
    /// How it is judged.
    pub weight: Weight,
}

/// The judged features, causes before what follows from them.
pub const WATCHED: &[Watched] = {
    use Need::{Checksum4, Checksum6, ScatterGather, Segmentation};
    use Weight::{Follower, Full, WishOnly};
    const fn row(name: &'static str, needs: &'static [Need], weight: Weight) -> Watched {
        Watched { name, needs, weight }
    }
    &[
        row(SG, &[], Full),
        row(CSUM, &[], Full),
        row(CSUM4, &[], Full),
        row(CSUM6, &[], Full),
        row("tx-tcp-segmentation", &[ScatterGather, Checksum4], Full),
        row("tx-tcp6-segmentation", &[ScatterGather, Checksum6], Full),
        row("tx-tcp-ecn-segmentation", &[ScatterGather, Checksum4, Segmentation], Full),
        row("tx-tcp-mangleid-segmentation", &[ScatterGather, Checksum4], Follower),
        // Until 4.14; ethtool of that time prints it as off on later kernels.
        row("tx-udp-fragmentation", &[ScatterGather, Checksum4], Follower),
        row("tx-generic-segmentation", &[ScatterGather], Full),
        row("tx-udp-segmentation", &[Checksum4, Checksum6], WishOnly),
        row("rx-gro", &[], WishOnly),
        row("rx-checksum", &[], WishOnly),
        row("highdma", &[], WishOnly),
    ]
};

/// The row of a feature.
pub fn row(feature: &str) -> Option<&'static Watched> {
    WATCHED.iter().find(|row| row.name == feature)
}

/// Whether a device below that has `feature` on offers it to the one above.
/// For a VLAN checksums of the old kind count as generic ones.
pub fn offered(features: &Features, feature: &str) -> bool {
    match feature {
        CSUM => [CSUM, CSUM4, CSUM6].iter().any(|name| features.active(name)),
        CSUM4 | CSUM6 => features.active(CSUM) || features.active(feature),
        _ => features.active(feature),
    }
}

/// The same question to a list of names, such as `vlan_features`.
pub fn listed(names: &[FeatureName], feature: &str) -> bool {
    let has = |wanted: &str| names.iter().any(|name| &**name == wanted);
    match feature {
        CSUM => has(CSUM) || has(CSUM4) || has(CSUM6),
        _ => has(feature),
    }
}

/// The features to be judged that a device lacks, with their states. Of the
/// checksums only the kind that the device can have.
pub fn lacking(features: &Features) -> Vec<(&'static Watched, FeatureState)> {
    WATCHED
        .iter()
        .filter(|row| row.weight != Weight::Follower)
        .filter_map(|row| Some((row, features.get(row.name)?)))
        .filter(|(row, state)| !state.active() && !another_kind(features, row.name))
        .collect()
}

/// Whether the device does checksums in another way than by `feature`.
fn another_kind(features: &Features, feature: &str) -> bool {
    let changeable = |name| features.get(name).is_some_and(FeatureState::changeable);
    match feature {
        CSUM => {
            features.active(CSUM4)
                || features.active(CSUM6)
                || !changeable(CSUM) && (changeable(CSUM4) || changeable(CSUM6))
        }
        CSUM4 | CSUM6 => features.active(CSUM) || !changeable(feature),
        _ => false,
    }
}

/// Features of the same device that are asked for and off because `cause` is.
pub fn taken_down(features: &Features, cause: &str) -> Vec<FeatureName> {
    let wanted = features.iter().filter(|(_, state)| *state == FeatureState::OffRequestedOn);
    let named = wanted.filter_map(|(name, _)| Some((name, row(name)?)));
    let needy =
        named.filter(|(_, row)| row.needs.iter().any(|need| need.met_by(cause) && !need.met(features)));
    needy.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn features(list: &[(&str, FeatureState)]) -> Features {
        list.iter().map(|(name, state)| (Arc::from(*name), *state)).collect()
    }

    #[test]
    fn scatter_gather_takes_down_what_needs_it() {
        let features = features(&[
            (SG, FeatureState::Off),
            (CSUM, FeatureState::On),
            ("tx-generic-segmentation", FeatureState::OffRequestedOn),
            ("tx-tcp-segmentation", FeatureState::OffRequestedOn),
            ("tx-tcp6-segmentation", FeatureState::Off),
            ("tx-scatter-gather-fraglist", FeatureState::OffRequestedOn),
        ]);
        let down = taken_down(&features, SG);
        assert_eq!(
            down.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["tx-generic-segmentation", "tx-tcp-segmentation"]
        );
        assert!(taken_down(&features, CSUM).is_empty());
    }

    #[test]
    fn checksums_of_either_kind_are_an_offer() {
        use FeatureState::{OffFixed, On};
        let old = features(&[(CSUM4, On), (CSUM, OffFixed), (CSUM6, OffFixed)]);
        assert_eq!([CSUM, CSUM4, CSUM6].map(|name| offered(&old, name)), [true, true, false]);
        let generic = features(&[(CSUM4, OffFixed), (CSUM, On), (CSUM6, OffFixed)]);
        assert_eq!([CSUM, CSUM4, CSUM6].map(|name| offered(&generic, name)), [true; 3]);
        let names: Vec<FeatureName> = vec![Arc::from(CSUM6)];
        assert!(listed(&names, CSUM) && listed(&names, CSUM6) && !listed(&names, SG));
    }

    #[test]
    fn one_kind_of_checksum_is_judged() {
        let names = |list: &[(&str, FeatureState)]| -> Vec<&str> {
            lacking(&features(list)).iter().map(|(row, _)| row.name).collect()
        };
        use FeatureState::{Off, OffFixed, On};
        assert_eq!(names(&[(CSUM4, On), (CSUM, OffFixed), (CSUM6, OffFixed)]), Vec::<&str>::new());
        assert_eq!(names(&[(CSUM4, Off), (CSUM, OffFixed), (CSUM6, Off)]), [CSUM4, CSUM6]);
        assert_eq!(names(&[(CSUM4, OffFixed), (CSUM, OffFixed), (CSUM6, OffFixed)]), [CSUM]);
        assert_eq!(names(&[(CSUM4, OffFixed), (CSUM, Off), (CSUM6, OffFixed)]), [CSUM]);
    }
}
