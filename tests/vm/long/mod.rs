//! What takes minutes on a kernel: run by `scripts/test all`, and by its name.
mod compare;
mod everything;
mod fix_killed;
mod offload_model;
mod watch;
