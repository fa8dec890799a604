mod apart;
mod argcount;
#[path = "../../live/argcount.rs"]
mod argcount_live;
mod attach;
mod doctor;
mod fix;
mod fix_apart;
mod fix_facts;
mod fix_host;
mod fix_undone;
mod funccount;
#[path = "../../live/funccount.rs"]
mod funccount_live;
mod funclatency;
#[path = "../../live/funclatency.rs"]
mod funclatency_live;
#[path = "../../live/journal.rs"]
mod journal;
mod killed;
mod ksym;
mod limits;
#[path = "../../live/limits.rs"]
mod limits_live;
mod links;
mod metrics;
mod net_change;
mod netem;
mod offload;
mod offload_intent;
mod offload_lro;
mod offload_refused;
#[path = "../../live/profile.rs"]
mod profile;
mod profile_cpus;
mod record;
mod role_facts;
mod snapshot;
#[path = "../../live/snapshot.rs"]
mod snapshot_live;
mod stack;
mod stackcount;
#[path = "../../live/symbol.rs"]
mod symbol;
#[path = "../../live/timer_names.rs"]
mod timer_names;
#[path = "../../live/tracepoints.rs"]
mod tracepoints;
#[path = "../../live/user.rs"]
mod user;
mod user_probe;
mod vitals;
#[path = "../../live/vlan_features.rs"]
mod vlan_features;
mod watch;
