//! `hostdiag man`: the manual pages. Section 1 is made from the command line
//! itself, section 7 from the explain pages.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::explain;
use crate::cli::{Cli, EXIT_STATUS};
use crate::fail::{Failure, Status};
use crate::output;
use crate::pages::{Page, roff};

/// Print a manual page, or write all of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Read one with: hostdiag man doctor | man -l -")]
pub struct Args {
    /// A subcommand, or a topic of `hostdiag explain`; without it, hostdiag itself.
    #[arg(value_name = "NAME", conflicts_with = "dir")]
    pub name: Option<String>,
    /// Write every page to this folder, which is made if need be.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints one page, or writes all of them.
///
/// # Errors
/// `no-such-topic` with the nearest names; a page cannot be written.
pub fn run(args: &Args) -> Result<Status> {
    match &args.dir {
        Some(dir) => write_all(dir)?,
        None => {
            let page = one(args.name.as_deref())?;
            output::write(|out| out.write_all(&page))?;
        }
    }
    Ok(Status::Fine)
}

fn one(name: Option<&str>) -> Result<Vec<u8>> {
    let root = root();
    let Some(name) = name else { return section_1(&root) };
    match root.get_subcommands().find(|command| command.get_name() == name) {
        Some(command) => section_1(command),
        None => Ok(roff::page(topic(&root, name)?).into_bytes()),
    }
}

/// The page of a topic; a misspelt name may as well be meant as a subcommand.
fn topic(root: &Command, name: &str) -> Result<Page, Failure> {
    explain::find(name).map_err(|failure| {
        let names = root.get_subcommands().map(Command::get_name).chain(Page::all().map(|page| page.name));
        match crate::fail::did_you_mean(name, names) {
            Some(near) => failure.hint(near),
            None => failure,
        }
    })
}

fn write_all(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
    let write = |name: String, text: &[u8]| {
        let file = dir.join(name);
        fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))
    };
    let root = root();
    write("hostdiag.1".into(), &section_1(&root)?)?;
    for command in root.get_subcommands() {
        write(format!("hostdiag-{}.1", command.get_name()), &section_1(command)?)?;
    }
    for page in Page::all() {
        write(format!("hostdiag-{}.7", page.name), roff::page(page).as_bytes())?;
    }
    Ok(())
}

/// The command line with the full names of its subcommands filled in.
fn root() -> Command {
    let mut root = Cli::command();
    root.build();
    root
}

fn section_1(command: &Command) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let source = concat!("hostdiag ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("hostdiag");
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut out)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    closing(&mut roff, command);
    roff.to_writer(&mut out)?;
    Ok(ascii(&String::from_utf8_lossy(&out)).into_bytes())
}

/// With other characters by number (groff_char(7)): not every man(1) knows that
/// a page is UTF-8.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\0'..='\x7f' => out.push(character),
            other => _ = write!(out, "\\[u{:04X}]", u32::from(other)),
        }
    }
    out
}

/// What stands below `--help`: the exit status has a section of its own.
fn closing(roff: &mut Roff, command: &Command) {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (status, notes): (Vec<&str>, Vec<&str>) = after
        .split("\n\n")
        .filter(|text| !text.is_empty())
        .partition(|text| text.starts_with("Exit status: "));
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
        roff.text([roman(notes.join(" "))]);
    }
    let status = status.first().copied().unwrap_or(EXIT_STATUS);
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman(status.trim_start_matches("Exit status: "))]);
    roff.control("SH", ["SEE ALSO"]);
    if !command.has_subcommands() {
        roff.text([bold("hostdiag"), roman("(1),")]);
    }
    roff.text([bold("hostdiag-exit-status"), roman("(7),")]);
    roff.text([bold("hostdiag-offload"), roman("(7)")]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_characters_go_by_number() {
        assert_eq!(ascii("bond, \u{2026}"), "bond, \\[u2026]");
    }

    #[test]
    fn a_subcommand_has_its_exit_status() {
        let text = String::from_utf8(one(Some("doctor")).unwrap()).unwrap();
        assert!(text.contains(".TH hostdiag-doctor 1"), "{text}");
        assert!(text.contains(".SH \"EXIT STATUS\"\n0 no subcommand"), "{text}");
        assert!(text.contains(".SH OPTIONS"), "{text}");
    }

    #[test]
    fn a_topic_is_a_page_of_section_7() {
        let text = String::from_utf8(one(Some("lost-here")).unwrap()).unwrap();
        assert!(
            text.contains(".TH hostdiag\\-lost\\-here 7") || text.contains(".TH hostdiag-lost-here 7"),
            "{text}"
        );
        assert!(one(Some("nonsense-indeed")).is_err());
    }

    #[test]
    fn all_pages_are_written() {
        let dir = std::env::temp_dir().join(format!("hostdiag-man-{}", std::process::id()));
        write_all(&dir).unwrap();
        let files = fs::read_dir(&dir).unwrap().count();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(files, 1 + root().get_subcommands().count() + Page::all().count());
    }
}
