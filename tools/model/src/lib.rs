//! Typed data of hostdiag: what was recorded, how recordings merge and differ.
#![forbid(unsafe_code)]
