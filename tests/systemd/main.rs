//! Tests that need a real systemd, udev, ifupdown or NetworkManager:
//! `scripts/vm/systemd ROLE[,ROLE...]|all [TEST...]`. They run as root in a guest of their
//! own, one after the other, and clean up what they configure.
//!
//! `files/` is in the guest from boot on; `config` is for what a test adds. Each
//! module of `boot` runs in a guest of its own, that booted with more files.
#[cfg(test)]
mod boot;
#[cfg(test)]
mod config;
#[cfg(test)]
mod every;
#[cfg(test)]
#[path = "../lab/mod.rs"]
mod lab;
