//! From estimates to verdicts.

use serde::Serialize;

use super::stats::{self, Estimate, Variance};

/// Runs of the same thing on the same host differ by about this much (standard
/// deviation of the logarithm of a rate or a latency). Assumed where one recording
/// a side cannot show it.
pub(super) const RUN_DEVIATION: f64 = 0.05;
/// How much more counts vary than if events were independent (variance over mean),
/// where windows do not show it: the upper end of what hosts have.
pub(super) const ASSUMED_DISPERSION: f64 = 30.0;

/// What follows of a difference, the most telling last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No difference that would matter.
    Same,
    /// No difference was found, and one that matters is not ruled out.
    Inconclusive,
    /// Less, or shorter: by more than chance, in several recordings a side.
    Improved,
    /// A difference that is large enough, with one recording a side.
    Indicative,
    /// A setting differs.
    Differs,
    /// More, or longer: by more than chance, in several recordings a side.
    Regressed,
    /// Nothing follows: too much was lost, or nothing is there.
    Invalid,
}

impl Verdict {
    /// Every verdict, for the test that each has a page.
    pub const ALL: [Self; 7] = [
        Self::Same,
        Self::Inconclusive,
        Self::Improved,
        Self::Indicative,
        Self::Differs,
        Self::Regressed,
        Self::Invalid,
    ];

    /// The word that is printed and that `explain` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Inconclusive => "inconclusive",
            Self::Improved => "improved",
            Self::Indicative => "indicative",
            Self::Differs => "differs",
            Self::Regressed => "regressed",
            Self::Invalid => "invalid",
        }
    }

    /// The verdict where A and B change places.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Improved => Self::Regressed,
            Self::Regressed => Self::Improved,
            other => other,
        }
    }
}

/// How a quantity changed from A to B, as a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// B's over A's; absent where one of them is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Between which values it lies, at 95 % confidence; absent where nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// The smallest ratio above 1 that would be found in four of five such pairs;
    /// absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
}

/// A difference before it is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    /// B's over A's, where both are there.
    pub(super) ratio: Option<f64>,
    /// How sure it is; `None` where nothing tells.
    pub(super) estimate: Option<Estimate>,
    /// Smaller changes of the ratio do not matter: 0.25 is 25 %.
    pub(super) margin: f64,
}

/// Judges differences that were looked for together: of many, some are large by
/// chance, and those are discounted. `repeated`: there are several recordings a side.
pub(super) fn judge(findings: &[Finding], repeated: bool) -> Vec<Change> {
    let p: Vec<f64> = findings.iter().map(|one| one.estimate.map_or(1.0, |estimate| estimate.p())).collect();
    let stands = stats::discoveries(&p);
    findings.iter().zip(stands).map(|(finding, stands)| change(*finding, stands, repeated)).collect()
}

fn change(finding: Finding, stands: bool, repeated: bool) -> Change {
    let Some(estimate) = finding.estimate else {
        return Change {
            ratio: finding.ratio,
            interval: None,
            detectable: None,
            verdict: Verdict::Inconclusive,
        };
    };
    let limit = finding.margin.ln_1p();
    let (low, high) = estimate.interval();
    let verdict = match () {
        () if stands && estimate.difference.abs() >= limit => match (repeated, estimate.difference > 0.0) {
            (false, _) => Verdict::Indicative,
            (true, true) => Verdict::Regressed,
            (true, false) => Verdict::Improved,
        },
        () if -limit < low && high < limit => Verdict::Same,
        () => Verdict::Inconclusive,
    };
    Change {
        ratio: finding.ratio,
        interval: Some([low.exp(), high.exp()]).filter(|bounds| bounds.iter().all(|bound| bound.is_finite())),
        detectable: Some(estimate.detectable().max(limit).exp()).filter(|ratio| ratio.is_finite()),
        verdict,
    }
}

/// How a quantity changed that each recording of a side measured once, above 0. `None`
/// where a side has none.
pub(crate) fn of_measurements(sides: [&[f64]; 2], margin: f64) -> Option<Change> {
    let logarithms = sides.map(|side| side.iter().map(|value| value.ln()).collect::<Vec<_>>());
    let average =
        |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let (a, b) = (average(&logarithms[0])?, average(&logarithms[1])?);
    let means = stats::mean(&logarithms[0]).zip(stats::mean(&logarithms[1]));
    let runs = Variance { value: 2.0 * RUN_DEVIATION * RUN_DEVIATION, freedom: f64::INFINITY };
    let estimate = match means {
        Some(((_, of_a), (_, of_b))) => repeated(b - a, [of_a, of_b], &[]),
        None => Estimate::of(b - a, &[runs]),
    };
    let finding = Finding { ratio: Some((b - a).exp()), estimate, margin };
    judge(&[finding], means.is_some()).pop()
}

/// How much what is assumed of runs weighs beside what few of them show, in degrees of
/// freedom: three recordings alone may lie together, or apart, by chance.
const PRIOR_FREEDOM: f64 = 1.0;

/// A difference of means over recordings: its error is what those differ by, but not
/// less than what each is known by alone.
pub(super) fn repeated(difference: f64, between: [Variance; 2], within: &[Variance]) -> Option<Estimate> {
    let known: f64 = within.iter().map(|variance| variance.value).sum();
    let drawn = between.map(|seen| {
        let usual = RUN_DEVIATION * RUN_DEVIATION / (seen.freedom + 1.0);
        let freedom = seen.freedom + PRIOR_FREEDOM;
        Variance { value: (seen.freedom * seen.value + PRIOR_FREEDOM * usual) / freedom, freedom }
    });
    let seen = Estimate::of(difference, &drawn).filter(|estimate| estimate.error.powi(2) >= known);
    seen.or_else(|| Estimate::of(difference, within))
}

/// What follows of many: the most telling of them.
pub(super) fn overall(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().max().unwrap_or(Verdict::Same)
}
