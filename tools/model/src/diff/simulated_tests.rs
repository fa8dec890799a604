//! Recordings with the noise of hosts: windows that hang together, runs that differ,
//! counts that vary more than by chance. With fixed seeds, so that a test says the
//! same each time.

use super::properties::{Noise, counts, latency, quarter, source, stacks};
use super::*;
use crate::recording::Recording;

/// Verdicts of so many pairs: recordings of B take `factor` times as long, or are as
/// many times as many.
fn verdicts(make: fn(&mut Noise, f64) -> Recording, sides: usize, factor: f64, pairs: u64) -> Vec<Verdict> {
    let pair = |seed| {
        let mut noise = Noise::new(seed);
        let side = |noise: &mut Noise, factor| (0..sides).map(|_| source(make(noise, factor))).collect();
        let a = side(&mut noise, 1.0);
        let b = side(&mut noise, factor);
        compare(a, b, How::default()).unwrap().verdict
    };
    (0..pairs).map(pair).collect()
}

fn share(verdicts: &[Verdict], wanted: Verdict) -> f64 {
    verdicts.iter().filter(|verdict| **verdict == wanted).count() as f64 / verdicts.len() as f64
}

#[test]
fn the_same_is_seldom_found_different() {
    for (name, make) in
        [("latency", latency as fn(&mut Noise, f64) -> Recording), ("counts", counts), ("stacks", stacks)]
    {
        let one = verdicts(make, 1, 1.0, 60);
        let three = verdicts(make, 3, 1.0, 60);
        let found = [share(&one, Verdict::Indicative), share(&three, Verdict::Regressed)];
        println!("{name}: {found:?} {:?}", share(&three, Verdict::Improved));
        assert!(found[0] <= 0.05 && found[1] <= 0.01, "{name}: {found:?}");
    }
}

#[test]
fn three_tenths_more_are_found() {
    for (name, make) in [
        ("latency", latency as fn(&mut Noise, f64) -> Recording),
        ("counts", counts),
        ("stacks", stacks),
        ("a quarter of stacks", quarter),
    ] {
        let found = share(&verdicts(make, 3, 1.3, 60), Verdict::Regressed);
        println!("{name}: {found}");
        assert!(found >= 0.9, "{name}: {found}");
    }
}
