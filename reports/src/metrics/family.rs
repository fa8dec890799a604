//! Series of one name, in Prometheus' text format:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;
use std::fmt;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows; its name ends with `_total`.
    Counter,
}

/// All series of one name; its Display is their text.
pub(super) struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// By their labels, as they are written.
    series: BTreeMap<String, f64>,
}

impl Family {
    pub(super) fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help, series: BTreeMap::new() }
    }

    /// Adds a series; `join` says what comes of two with the same labels, of which the collector
    /// would drop one without a word.
    pub(super) fn put(&mut self, labels: &[(&str, &str)], value: f64, join: fn(f64, f64) -> f64) {
        let mut labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        labels.sort_unstable();
        let series = self.series.entry(labels.join(","));
        series.and_modify(|before| *before = join(*before, value)).or_insert(value);
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, help, .. } = self;
        let kind = match self.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        writeln!(f, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
        for (labels, value) in &self.series {
            match labels.as_str() {
                "" => writeln!(f, "{name} {value}")?,
                labels => writeln!(f, "{name}{{{labels}}} {value}")?,
            }
        }
        Ok(())
    }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
