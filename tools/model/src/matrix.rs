//! Features by layer: one table a stack, hardware on the left.

use serde::Serialize;

use crate::features::{FeatureName, FeatureState};
use crate::offload::Namespace;
use crate::stack::{Position, Role, Stack};

/// Name of the schema of `--matrix --format json`.
pub const SCHEMA: &str = "hostdiag.matrix";
/// Its version.
pub const VERSION: u32 = 1;

/// All tables of a host, as they are written as one JSON document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrices {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// One a stack.
    pub stacks: Vec<Matrix>,
}

/// One stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// Network namespace; absent for the one hostdiag ran in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Devices, those at the bottom first; equal ones of a layer share a column.
    pub columns: Vec<Column>,
    /// Features in the kernel's order.
    pub rows: Vec<Row>,
}

/// Devices of one layer that are alike in every feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Their names.
    pub devices: Vec<String>,
    /// Kind, or driver of hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Layer, 0 at the bottom.
    pub layer: usize,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub feature: FeatureName,
    /// Its state in each column; null where the kernel does not report it.
    pub cells: Vec<Option<FeatureState>>,
}

/// The tables of the given namespaces, without devices that stand alone. Only
/// rows whose state differs between layers, or is not as asked for, unless
/// `all`.
pub fn matrices(namespaces: &[Namespace], all: bool) -> Matrices {
    let stacks = namespaces.iter().flat_map(|namespace| {
        let stack = Stack::new(namespace);
        let components = stack.components().into_iter().filter(|component| component.len() > 1);
        components.map(|component| matrix(&stack, &component, all)).collect::<Vec<_>>()
    });
    Matrices { schema: SCHEMA, version: VERSION, stacks: stacks.collect() }
}

fn matrix(stack: &Stack<'_>, component: &[Position], all: bool) -> Matrix {
    let mut layers: Vec<(usize, Position)> = component.iter().map(|at| (stack.height(*at), *at)).collect();
    layers.sort_unstable();
    let mut groups: Vec<(Column, Position)> = Vec::new();
    for (layer, at) in layers {
        let kind = stack.link(at).and_then(|link| link.kind.clone().or_else(|| link.driver.clone()));
        let alike = groups.iter_mut().find(|(column, first)| {
            column.layer == layer
                && column.kind == kind
                && stack.device(*first).features == stack.device(at).features
                && stack.role(at) != Role::Physical
        });
        match alike {
            Some((column, _)) => column.devices.push(stack.name(at).to_owned()),
            None => groups.push((Column { devices: vec![stack.name(at).to_owned()], kind, layer }, at)),
        }
    }
    let positions: Vec<Position> = groups.iter().map(|(_, at)| *at).collect();
    let columns = groups.into_iter().map(|(column, _)| column).collect();
    Matrix { netns: stack.namespace.name.clone(), columns, rows: rows(stack, &positions, all) }
}

fn rows(stack: &Stack<'_>, positions: &[Position], all: bool) -> Vec<Row> {
    let features = |at: &Position| stack.device(*at).features.as_ref();
    let mut names: Vec<&FeatureName> = Vec::new();
    for (name, _) in positions.iter().filter_map(features).flat_map(|features| features.iter()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let row = |name: &FeatureName| {
        let cells: Vec<_> = positions.iter().map(|at| features(at).and_then(|all| all.get(name))).collect();
        let known: Vec<FeatureState> = cells.iter().flatten().copied().collect();
        let differs = known.iter().any(|state| state.active() != known[0].active());
        let against = known.iter().any(|state| state.changeable() && state.active() != state.wanted());
        (all || differs || against).then(|| Row { feature: name.clone(), cells })
    };
    names.into_iter().filter_map(row).collect()
}
