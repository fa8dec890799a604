//! What `hostdiag` prints, to the letter: every reading command on every stored
//! recording, help, errors, and the sessions in the README. No root, no kernel.
//!
//! `TRYCMD=overwrite cargo test -p hostdiag --test cli` blesses what has changed.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod flamegraph;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod format;
#[cfg(test)]
mod format_compare;
#[cfg(test)]
mod format_fix;
#[cfg(test)]
mod format_trace;
#[cfg(test)]
mod html;
#[cfg(test)]
mod offload;
#[cfg(test)]
mod output;
#[cfg(test)]
mod redact;
#[cfg(test)]
mod trace;

#[cfg(test)]
fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn sessions_are_as_written() {
    std::env::set_current_dir(root()).unwrap();
    trycmd::TestCases::new().case("tests/cli/*.trycmd").case("README.md");
}
