//! Tells the system journal of every change.
