//! NIC offload features, by the name the kernel gives them.
//!
//! Never by bit number: 7.2 put `tx-tcp-accecn-segmentation` at bit 35 and
//! moved what stood there (include/linux/netdev_features.h).

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The kernel's name of a feature, such as `tx-scatter-gather`. Shared,
/// because a thousand devices have the same sixty.
pub type FeatureName = Arc<str>;

/// The state of one feature on one device, as `ethtool -k` words it.
///
/// A function of three bits of the kernel: active, wanted, and changeable (in
/// `hw_features` and not in `NETIF_F_NEVER_CHANGE`). What is fixed has no wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeatureState {
    /// Active and wanted.
    On,
    /// Neither active nor wanted.
    Off,
    /// Active, and the user cannot change it.
    OnFixed,
    /// Not active, and the user cannot change it.
    OffFixed,
    /// Not active although wanted: something holds it off.
    OffRequestedOn,
    /// Active although not wanted: something holds it on.
    OnRequestedOff,
}

impl FeatureState {
    /// All states, in the order of the enum.
    pub const ALL: [Self; 6] =
        [Self::On, Self::Off, Self::OnFixed, Self::OffFixed, Self::OffRequestedOn, Self::OnRequestedOff];

    /// The state for the kernel's bits.
    pub fn from_bits(changeable: bool, wanted: bool, active: bool) -> Self {
        match (changeable, wanted, active) {
            (false, _, true) => Self::OnFixed,
            (false, _, false) => Self::OffFixed,
            (true, true, true) => Self::On,
            (true, true, false) => Self::OffRequestedOn,
            (true, false, true) => Self::OnRequestedOff,
            (true, false, false) => Self::Off,
        }
    }

    /// Whether the feature works now.
    pub fn active(self) -> bool {
        matches!(self, Self::On | Self::OnFixed | Self::OnRequestedOff)
    }

    /// Whether the user may change it.
    pub fn changeable(self) -> bool {
        !matches!(self, Self::OnFixed | Self::OffFixed)
    }

    /// Whether it is asked for. A fixed feature has no wish.
    pub fn wanted(self) -> bool {
        matches!(self, Self::On | Self::OffRequestedOn)
    }

    /// The words of `ethtool -k`: `off [requested on]`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::OnFixed => "on [fixed]",
            Self::OffFixed => "off [fixed]",
            Self::OffRequestedOn => "off [requested on]",
            Self::OnRequestedOff => "on [requested off]",
        }
    }

    /// The state for the words of `ethtool -k`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for FeatureState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for FeatureState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FeatureState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format_args!("unknown feature state {text:?}")))
    }
}

/// The features of one device in the order of the kernel's bits, which is the
/// order `ethtool -k` prints them in. In JSON an object, name to state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(Vec<(FeatureName, FeatureState)>);

impl Features {
    /// The state of a feature; `None` where this kernel does not know it, which
    /// is not the same as off.
    pub fn get(&self, name: &str) -> Option<FeatureState> {
        self.0.iter().find(|(known, _)| &**known == name).map(|(_, state)| *state)
    }

    /// Whether a feature is known and active.
    pub fn active(&self, name: &str) -> bool {
        self.get(name).is_some_and(FeatureState::active)
    }

    /// All features in the kernel's order.
    pub fn iter(&self) -> impl Iterator<Item = (&FeatureName, FeatureState)> {
        self.0.iter().map(|(name, state)| (name, *state))
    }

    /// How many features there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(FeatureName, FeatureState)> for Features {
    fn from_iter<I: IntoIterator<Item = (FeatureName, FeatureState)>>(features: I) -> Self {
        Self(features.into_iter().collect())
    }
}

impl Serialize for Features {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, state) in &self.0 {
            map.serialize_entry(&**name, state)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Features;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of feature names and their states")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Features, A::Error> {
                let mut features: Vec<(FeatureName, FeatureState)> = Vec::new();
                while let Some((name, state)) = map.next_entry::<FeatureName, FeatureState>()? {
                    if features.len() >= MAX_FEATURES {
                        return Err(serde::de::Error::custom("more than 1024 features on one device"));
                    }
                    if features.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format_args!("feature {name:?} given twice")));
                    }
                    features.push((name, state));
                }
                Ok(Features(features))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// More features than this in a file are refused: no kernel has a tenth of it.
const MAX_FEATURES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_words_round_trip() {
        for state in FeatureState::ALL {
            assert_eq!(FeatureState::parse(state.as_str()), Some(state));
        }
        assert_eq!(FeatureState::parse("off [requested  on]"), None);
    }

    #[test]
    fn state_follows_the_kernel_bits() {
        for bits in 0..8_u8 {
            let (changeable, wanted, active) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let state = FeatureState::from_bits(changeable, wanted, active);
            assert_eq!(state.active(), active);
            assert_eq!(state.changeable(), changeable);
            assert_eq!(state.wanted(), changeable && wanted);
        }
    }

    #[test]
    fn features_keep_their_order_in_json() {
        let text = r#"{"tx-scatter-gather":"on","rx-lro":"off [fixed]","highdma":"off [requested on]"}"#;
        let features: Features = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&features).unwrap(), text);
        assert_eq!(features.get("rx-lro"), Some(FeatureState::OffFixed));
        assert_eq!(features.get("rx-gro"), None);
        assert!(serde_json::from_str::<Features>(r#"{"a":"on","a":"off"}"#).is_err());
    }
}
