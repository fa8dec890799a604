//! Pages as manual pages of section 7.

use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::Page;
use super::markdown::Block;

/// `hostdiag-NAME(7)`.
pub fn page(page: Page) -> String {
    let title = format!("hostdiag-{}", page.name);
    let mut roff = Roff::new();
    let source = concat!("hostdiag ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [title.as_str(), "7", "", source, "hostdiag"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{title} - {}", page.summary()))]);
    blocks(&mut roff, &page.body());
    roff.to_roff()
}

/// Appends blocks; headings become sections, in capitals as manuals have them.
pub fn blocks(roff: &mut Roff, blocks: &[Block<'_>]) {
    let mut see_also = false;
    for block in blocks {
        match block {
            Block::Heading(heading) => {
                see_also = *heading == "See also";
                roff.control("SH", [heading.to_uppercase().as_str()]);
            }
            Block::Paragraph(lines) if see_also => {
                roff.text(references(&lines.join(" ")));
            }
            Block::Paragraph(lines) => {
                roff.control("PP", []);
                roff.text(inline(&lines.join(" ")));
            }
            Block::Item(lines) => {
                roff.control("IP", ["\\(bu", "2"]);
                roff.text(inline(&lines.join(" ")));
            }
            Block::Code(lines) => code(roff, lines),
        }
    }
}

fn code(roff: &mut Roff, lines: &[&str]) {
    roff.control("PP", []).control("RS", ["4"]).control("EX", []);
    for line in lines {
        roff.text([roman(*line)]);
    }
    roff.control("EE", []).control("RE", []);
}

/// What stands between backticks is bold.
fn inline(text: &str) -> Vec<Inline> {
    let pieces = text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty());
    pieces.map(|(number, piece)| if number % 2 == 1 { bold(piece) } else { roman(piece) }).collect()
}

/// `stuck, ethtool(8)` as `hostdiag-stuck(7), ethtool(8)`.
fn references(text: &str) -> Vec<Inline> {
    let mut out = Vec::new();
    for name in text.split(", ") {
        let separator = if out.is_empty() { "" } else { ", " };
        let (name, section) = match name.split_once('(') {
            Some((name, section)) => (name.to_string(), format!("({section}")),
            None => (format!("hostdiag-{name}"), "(7)".to_string()),
        };
        out.extend([roman(separator), bold(name), roman(section)]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::markdown::parse;

    #[test]
    fn lines_that_look_like_requests_are_escaped() {
        let mut roff = Roff::new();
        blocks(&mut roff, &parse("## See also\nstuck, ethtool(8)\n\n## B\n```\n.so /etc/passwd\na-b\n```\n"));
        let text = roff.to_roff();
        assert!(text.contains("\\fBhostdiag\\-stuck\\fR(7), \\fBethtool\\fR(8)"), "{text}");
        assert!(text.contains(".EX\n\\&.so /etc/passwd\na\\-b\n.EE"), "{text}");
    }
}
