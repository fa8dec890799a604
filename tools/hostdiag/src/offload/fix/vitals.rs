//! How devices and their traffic are, before and after a change.

/// STUB
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {}

/// STUB
pub fn worse(_: &Vitals, _: &Vitals, _: &Vitals) -> Vec<String> {
    Vec::new()
}
