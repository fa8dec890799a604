//! What the texts of a recording's fields are. A field that is not named here is text:
//! what is added is redacted until somebody says that it need not be.

use serde_json::Value;

use super::{Change, Rule};

/// Calls with every text in a value, of the field `names[1]` of a field `names[0]`.
pub(super) fn visit(value: &mut Value, names: [&str; 2], change: Change<'_>) {
    match value {
        Value::String(text) => change(rule(names), text),
        Value::Array(all) => all.iter_mut().for_each(|one| visit(one, names, change)),
        Value::Object(fields) => {
            let area = fields.get("area").and_then(Value::as_str).map(str::to_owned);
            let host = fields.get("name").and_then(Value::as_str).is_some_and(is_host);
            for (name, value) in fields.iter_mut() {
                match (value, &area) {
                    (Value::String(text), Some(_)) if host && name == "value" => change(Rule::Host, text),
                    (value, Some(area)) => visit(value, [area, name], change),
                    (value, None) => visit(value, [names[1], name], change),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A setting that is the host's name.
fn is_host(setting: &str) -> bool {
    matches!(setting, "kernel.hostname" | "kernel.domainname" | "hostname")
}

fn rule(names: [&str; 2]) -> Rule {
    match names {
        ["namespaces", "name"] | [_, "netns" | "lower_netns"] => Rule::Netns,
        ["devices" | "device", "name"] | ["link" | "nic" | "qdisc", "of"] => Rule::Device,
        [_, "device" | "devices" | "altnames" | "lost_at" | "on_in" | "recreate" | "master"]
        | [_, "bridge" | "was" | "recomputed"] => Rule::Device,
        [_, "mac" | "permanent_address"] => Rule::Mac,
        [_, "addresses"] => Rule::Address,
        [_, "file" | "origin"] => Rule::File,
        [_, "sudo_user"] => Rule::User,
        [_, "reason" | "command"] => Rule::Whole,
        // States by the names of features.
        ["features", _] => Rule::Keep,
        [_, "feature" | "features" | "takes_down" | "repairs" | "missing" | "vlan_features"]
        | [_, "state" | "before" | "after" | "verdict" | "is" | "do" | "what" | "until"]
        | [_, "source" | "manager" | "kind" | "port_kind" | "driver" | "drivers" | "bus"]
        | [_, "vlan_protocol" | "mode" | "reference" | "id" | "run" | "area" | "unit"]
        | ["repair", "by"] => Rule::Keep,
        _ => Rule::Text,
    }
}
