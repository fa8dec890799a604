mod apart;
mod doctor;
mod fix_facts;
mod killed;
mod links;
mod net_change;
mod netem;
mod offload;
mod offload_intent;
mod offload_lro;
mod offload_refused;
mod role_facts;
mod stack;
#[path = "../../live/vlan_features.rs"]
mod vlan_features;
