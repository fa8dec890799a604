//! The part of Markdown that pages use, and how a terminal shows it.

use std::fmt::Write;

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// `## Heading`.
    Heading(&'a str),
    /// Lines of a paragraph.
    Paragraph(Vec<&'a str>),
    /// Lines of one item of a list, without its `- `.
    Item(Vec<&'a str>),
    /// Lines between two of three backticks.
    Code(Vec<&'a str>),
}

/// Splits a text into its blocks.
pub fn parse(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    // Whether the next line goes on with the last block.
    let mut open = false;
    while let Some(line) = lines.next() {
        if line.is_empty() {
            open = false;
        } else if let Some(heading) = line.strip_prefix("## ") {
            blocks.push(Block::Heading(heading));
            open = false;
        } else if line.starts_with("```") {
            blocks.push(Block::Code(lines.by_ref().take_while(|line| !line.starts_with("```")).collect()));
            open = false;
        } else if let Some(item) = line.strip_prefix("- ") {
            blocks.push(Block::Item(vec![item]));
            open = true;
        } else {
            match blocks.last_mut() {
                Some(Block::Paragraph(lines) | Block::Item(lines)) if open => lines.push(line.trim_start()),
                _ => blocks.push(Block::Paragraph(vec![line])),
            }
            open = true;
        }
    }
    blocks
}

/// For a terminal: headings at the margin, the rest indented, code further.
pub fn plain(blocks: &[Block<'_>]) -> String {
    let mut out = String::new();
    let mut before: Option<&Block<'_>> = None;
    for block in blocks {
        let close =
            matches!((before, block), (Some(Block::Heading(_)), _) | (Some(Block::Item(_)), Block::Item(_)));
        out.push_str(if close { "" } else { "\n" });
        show(&mut out, block);
        before = Some(block);
    }
    out
}

fn show(out: &mut String, block: &Block<'_>) {
    let (first, rest, lines) = match block {
        Block::Heading(heading) => {
            _ = writeln!(out, "{heading}");
            return;
        }
        Block::Paragraph(lines) => ("  ", "  ", lines),
        Block::Item(lines) => ("  - ", "    ", lines),
        Block::Code(lines) => ("      ", "      ", lines),
    };
    for (number, line) in lines.iter().enumerate() {
        let indent = if number == 0 { first } else { rest };
        let shown = if matches!(block, Block::Code(_)) { (*line).to_string() } else { line.replace('`', "") };
        _ = writeln!(out, "{}", format!("{indent}{shown}").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\n## Meaning\nOne `two`\nthree.\n\n- a\n  b\n- c\n\n```\nx  y\n```\nend\n";

    #[test]
    fn blocks_are_told_apart() {
        let expected = [
            Block::Heading("Meaning"),
            Block::Paragraph(vec!["One `two`", "three."]),
            Block::Item(vec!["a", "b"]),
            Block::Item(vec!["c"]),
            Block::Code(vec!["x  y"]),
            Block::Paragraph(vec!["end"]),
        ];
        assert_eq!(parse(TEXT), expected);
    }

    #[test]
    fn a_terminal_gets_it_without_marks() {
        let expected = "\nMeaning\n  One two\n  three.\n\n  - a\n    b\n  - c\n\n      x  y\n\n  end\n";
        assert_eq!(plain(&parse(TEXT)), expected);
    }
}
