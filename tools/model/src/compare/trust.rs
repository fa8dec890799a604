//! How far a comparison can be trusted.

use serde::Serialize;

use super::gather::Side;
use super::pairs::Part;
use crate::diff::Doubt;

/// What there is to doubt.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trust {
    /// Events that were lost on A and on B.
    pub lost: [u64; 2],
    /// The share of the time that both were recorded in; absent where they were recorded
    /// at other times, or it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<f64>,
    /// Milliseconds between both, where they were recorded one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart_ms: Option<u64>,
    /// How far the clocks of the hosts are apart at most, in microseconds; absent where
    /// that was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew_us: Option<u64>,
    /// Commands whose recordings say nothing, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<(String, Doubt)>,
}

pub(super) fn of(sides: [&Side; 2]) -> Trust {
    let span = |side: &Side| {
        let start = side.hosts.iter().map(|host| host.started_ms).min()?;
        let end = side.hosts.iter().map(|host| host.ended_ms).max()?;
        Some((start, end)).filter(|(start, end)| start < end)
    };
    let mut trust = Trust::default();
    if let (Some((start_a, end_a)), Some((start_b, end_b))) = (span(sides[0]), span(sides[1])) {
        let (start, end) = (start_a.max(start_b), end_a.min(end_b));
        let longest = (end_a - start_a).max(end_b - start_b);
        match end.checked_sub(start) {
            Some(both) => trust.overlap = Some(both as f64 / longest as f64),
            None => trust.apart_ms = Some(start - end),
        }
    }
    let offsets: Option<Vec<i64>> =
        sides.iter().flat_map(|side| &side.hosts).map(|host| host.clock_offset_us).collect();
    trust.skew_us = offsets.and_then(|all| Some(all.iter().max()?.abs_diff(*all.iter().min()?)));
    trust
}

impl Trust {
    pub(super) fn with_losses(mut self, parts: &[Part]) -> Self {
        for part in parts {
            let comparison = &part.comparison;
            for (sum, side) in self.lost.iter_mut().zip([&comparison.a, &comparison.b]) {
                *sum = sum.saturating_add(side.lost);
            }
            let doubts = comparison.doubts.iter().filter(|doubt| !matches!(doubt, Doubt::Alone(..)));
            self.doubts.extend(doubts.map(|doubt| (part.command.clone(), doubt.clone())));
        }
        self
    }

    /// Whether so much was lost that figures are wrong.
    pub fn is_doubtful(&self) -> bool {
        self.doubts.iter().any(|(_, doubt)| doubt.invalidates())
    }
}
