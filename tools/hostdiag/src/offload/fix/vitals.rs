//! How devices and their traffic are, before and after a change.
