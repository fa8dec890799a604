//! The library behind the `hostdiag` program.
