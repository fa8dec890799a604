//! The `hostdiag` program: maps the result of a subcommand to an exit status.
fn main() {}
