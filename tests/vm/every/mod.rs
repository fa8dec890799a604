mod doctor;
mod links;
mod offload;
mod offload_intent;
mod offload_lro;
mod offload_model;
mod offload_refused;
mod role_facts;
mod stack;
#[path = "../../live/vlan_features.rs"]
mod vlan_features;
