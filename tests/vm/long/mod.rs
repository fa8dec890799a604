//! What takes minutes on a kernel: run by `scripts/test all`, and by its name.
mod everything;
mod fix_killed;
mod offload_model;
