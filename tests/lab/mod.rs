//! What privileged tests share: network namespaces, links and whole stacks that
//! take themselves down, and traffic through them.
//!
//! Every guard undoes on drop what it did, and never panics while a test already
//! is. Guards work on the current network namespace; `NetNs::enter` changes that.
#![allow(dead_code, unused_imports, reason = "each test target uses its own part")]
mod apart;
pub(crate) mod arguments;
mod audit;
mod card;
mod command;
mod fix;
mod killed;
pub(crate) mod latency;
mod link;
mod netem;
mod netns;
mod profiled;
mod stack;
mod stacks;
mod taken;
pub(crate) mod timers;
mod trace;
mod traffic;
mod watch;

pub(crate) use apart::{AfXdp, Datapath, Xdp};
pub(crate) use audit::{Audited, Unprivileged, audit, audit_unprivileged, hostdiag, page};
pub(crate) use card::{Card, PolicyFile, stick_lro};
pub(crate) use command::{ethtool, feature, ip, ip_batch, run, wait_long_until, wait_until, wait_within};
pub(crate) use fix::{Fixed, fix, plan, read as read_fix, repairs, run as run_fix, snapshot, undo};
pub(crate) use killed::{Killed, Which, kill_after};
pub(crate) use link::{Link, vmxnet3};
pub(crate) use netem::{Netem, OnChange, on_change};
pub(crate) use netns::{Entered, NetNs};
pub(crate) use profiled::Profiled;
pub(crate) use stack::{HOST, PEER, Stack};
pub(crate) use stacks::{Counted, Paths};
pub(crate) use taken::Taken;
pub(crate) use trace::{
    Traced, Tracing, btf, call_getpgid, private_tracefs, programs, refused_trace, user_ways, ways,
};
pub(crate) use traffic::{IntoDummy, Traffic, sendfile};
pub(crate) use watch::{Watch, bonded};
