//! What this kernel and this process can do: facts, gathered once.

pub mod caps;
