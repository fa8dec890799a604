//! Of two groups of measurements, how sure their difference is: Student's t,
//! Welch's approximation of its degrees of freedom, and Benjamini and Hochberg's
//! answer to many questions at once.

/// A difference of logarithms: how large, how uncertain, on how many degrees of
/// freedom that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    /// ln of B's over A's.
    pub(super) difference: f64,
    /// Standard error of it, above 0.
    pub(super) error: f64,
    /// Degrees of freedom of the error, at least 1.
    pub(super) freedom: f64,
}

/// A variance, and the degrees of freedom it is known on; infinite where it is
/// assumed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variance {
    pub(super) value: f64,
    pub(super) freedom: f64,
}

impl Estimate {
    /// Of a difference whose variances add up; the degrees of freedom are Welch's.
    /// `None` where there is no variance at all.
    pub(super) fn of(difference: f64, variances: &[Variance]) -> Option<Self> {
        let sum: f64 = variances.iter().map(|variance| variance.value).sum();
        let parts: f64 = variances.iter().map(|one| one.value * one.value / one.freedom).sum();
        let usable = sum > 0.0 && sum.is_finite() && difference.is_finite();
        let freedom = if parts > 0.0 { (sum * sum / parts).max(1.0) } else { f64::INFINITY };
        usable.then(|| Self { difference, error: sum.sqrt(), freedom })
    }

    /// The 95 % interval of the difference.
    pub(super) fn interval(&self) -> (f64, f64) {
        let half = t_quantile(0.975, self.freedom) * self.error;
        (self.difference - half, self.difference + half)
    }

    /// How likely so large a difference is by chance alone, on both sides.
    pub(super) fn p(&self) -> f64 {
        2.0 * (1.0 - t_below((self.difference / self.error).abs(), self.freedom))
    }

    /// The smallest difference that would be found in four of five such pairs.
    pub(super) fn detectable(&self) -> f64 {
        (t_quantile(0.975, self.freedom) + t_quantile(0.8, self.freedom)) * self.error
    }
}

/// Mean, and the variance of that mean, of at least two values.
pub(super) fn mean(values: &[f64]) -> Option<(f64, Variance)> {
    let count = values.len() as f64;
    if values.len() < 2 || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, Variance { value: squares / (count - 1.0) / count, freedom: count - 1.0 }))
}

/// Which of these probabilities stand when one in twenty of those that do may be
/// by chance (Benjamini and Hochberg, 1995).
pub(super) fn discoveries(p: &[f64]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let allowed = |rank: usize| 0.05 * (rank + 1) as f64 / p.len() as f64;
    let last = (0..order.len()).rev().find(|rank| p[order[*rank]] <= allowed(*rank));
    let mut stand = vec![false; p.len()];
    order.iter().take(last.map_or(0, |last| last + 1)).for_each(|at| stand[*at] = true);
    stand
}

/// Student's distribution: the share below `t`, on so many degrees of freedom;
/// the normal one on infinitely many.
fn t_below(t: f64, freedom: f64) -> f64 {
    let freedom = freedom.min(1e9);
    let tail = 0.5 * beta_share(freedom / (freedom + t * t), freedom / 2.0);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The inverse of [`t_below`], for shares of a half and more; by bisection.
pub(super) fn t_quantile(share: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while t_below(high, freedom) < share && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if t_below(middle, freedom) < share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The regularised incomplete beta function of `x` with `a` and 1/2. By its
/// continued fraction, evaluated as Lentz does (DLMF 8.17.22), on the side where
/// that converges fast.
fn beta_share(x: f64, a: f64) -> f64 {
    let b = 0.5;
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let safe = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in (1..10_000).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / safe(1.0 + even * d);
        c = safe(1.0 + even / c);
        fraction *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / safe(1.0 + odd * d);
        c = safe(1.0 + odd / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// ln of the gamma function above 0, by Stirling's series (DLMF 5.11.1) from 10 on,
/// to which smaller values are shifted.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed tables of Student's distribution.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table = [
            (0.975, 1.0, 12.706_204_736),
            (0.975, 2.0, 4.302_652_730),
            (0.975, 4.0, 2.776_445_105),
            (0.975, 30.0, 2.042_272_456),
            (0.975, f64::INFINITY, 1.959_963_985),
            (0.8, 4.0, 0.940_964_577),
            (0.8, f64::INFINITY, 0.841_621_234),
            (0.995, 10.0, 3.169_272_673),
        ];
        for (share, freedom, expected) in table {
            let found = t_quantile(share, freedom);
            assert!((found - expected).abs() < 1e-6, "{share} {freedom}: {found}");
        }
    }

    #[test]
    fn two_groups_are_compared_as_welch_does() {
        // Sums of squares are 5 and 26.75.
        let (a, variance_a) = mean(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        let (b, variance_b) = mean(&[2.0, 4.0, 6.0, 9.0]).unwrap();
        let estimate = Estimate::of(b - a, &[variance_a, variance_b]).unwrap();
        let (va, vb) = (5.0_f64 / 12.0, 26.75 / 12.0);
        assert!((estimate.error - (va + vb).sqrt()).abs() < 1e-12);
        let freedom = (va + vb) * (va + vb) / (va * va / 3.0 + vb * vb / 3.0);
        assert!((estimate.freedom - freedom).abs() < 1e-9);
        let (low, high) = estimate.interval();
        assert!(low < 0.0 && high > 0.0 && estimate.p() > 0.05);
        assert_eq!(mean(&[1.0]), None);
        assert_eq!(Estimate::of(1.0, &[]), None);
    }

    #[test]
    fn of_many_questions_only_what_stands_out_is_found() {
        // The example of Benjamini and Hochberg's paper: four of fifteen.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
            0.6528, 0.7590, 1.0,
        ];
        assert_eq!(discoveries(&p).iter().filter(|stands| **stands).count(), 4);
        assert_eq!(discoveries(&[0.04]), [true]);
        assert_eq!(discoveries(&[]), Vec::<bool>::new());
    }
}
