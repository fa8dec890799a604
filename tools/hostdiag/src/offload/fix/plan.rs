//! From facts to a plan. Pure.
