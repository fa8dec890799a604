//! Where results go, and what the terminal wants them to look like.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use hostdiag_report::Style;

/// What `--color` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How results are to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// `--color`.
    pub color: Color,
}

impl Look {
    /// The style for stdout.
    pub fn style(self) -> Style {
        Style { color: self.colored(), unicode: utf8() }
    }

    fn colored(self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                !set("NO_COLOR") && !dumb && io::stdout().is_terminal()
            }
        }
    }
}

/// Whether the locale takes UTF-8; the first variable that is set decides
/// (locale(7)).
fn utf8() -> bool {
    let set =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    set.is_some_and(|value| {
        let value = value.to_string_lossy().to_lowercase();
        value.ends_with("utf-8") || value.ends_with("utf8")
    })
}

/// Writes a result to stdout, whole.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
