//! The `hostdiag` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hostdiag::cli::main()
}
