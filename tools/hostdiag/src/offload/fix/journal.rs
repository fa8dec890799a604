//! The journal of a run, written before the first change: /run/hostdiag.
