mod doctor;
#[path = "../../live/journal.rs"]
mod journal;
mod links;
mod offload;
mod offload_intent;
mod offload_lro;
mod offload_refused;
mod role_facts;
mod stack;
#[path = "../../live/vlan_features.rs"]
mod vlan_features;
