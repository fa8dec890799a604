//! Stacks of both sides as a picture: two flame graphs, one below the other, in one
//! scale and the same order, coloured by how much the total of a frame changed.

use std::fmt::Write as _;

use hostdiag_model::diff::stacks::{Amount, Grown, NodeId, Stacks, Unit};
use hostdiag_model::diff::{Comparison, Side, Which};

use super::number::{of_unit, ratio, short, signed};
use crate::markup::{LONGEST, escaped};

/// Width of the picture, in its own units, and of the frames in it.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
/// Height of a frame, and of a line of text.
const FRAME: f64 = 16.0;
/// Narrower frames are left out, with all that is above them.
const NARROWEST: f64 = 0.3;
/// Width of a letter in the frames' font; narrower frames than three have no text.
const LETTER: f64 = 7.0;
/// Steps of colour either way.
const STEPS: f64 = 4.0;

const STYLE: &str = "\
svg{font:12px ui-monospace,monospace;color:#1a1a1a;background:#fff}\
text{fill:currentColor;pointer-events:none}.h{font-weight:bold}rect{stroke:#fff;stroke-width:.5}\
.n rect{fill:#d9d9d9}.s rect{fill:#eeeeee}\
.u1 rect{fill:#fde0c5}.u2 rect{fill:#fbb782}.u3 rect{fill:#f1893a}.u4 rect{fill:#d95f02}\
.d1 rect{fill:#d6e6f4}.d2 rect{fill:#9dc6e8}.d3 rect{fill:#5b9fd4}.d4 rect{fill:#3182bd}\
.x rect{stroke:currentColor;stroke-width:1.2;stroke-dasharray:3 2}g:hover>rect{stroke:currentColor;stroke-width:1}\
@media(prefers-color-scheme:dark){svg{color:#eee;background:#161616}rect{stroke:#161616}\
.f text{fill:#111}}";

/// The whole picture.
pub fn svg(comparison: &Comparison, stacks: &Stacks) -> String {
    let most = stacks.total.a.max(stacks.total.b);
    let scale = if most > 0.0 { (WIDTH - 2.0 * MARGIN) / most } else { 0.0 };
    let mut panels = Panels { stacks, scale, out: String::new(), depth: 0 };
    let mut body = String::new();
    let mut top = 5.0 * FRAME;
    for (which, side) in [(Which::A, &comparison.a), (Which::B, &comparison.b)] {
        let title = format!("{} {}", name(which), files(side));
        let _ = write!(
            body,
            "<text class=\"h\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
            top + 12.0,
            escaped(&title, LONGEST)
        );
        top += 1.5 * FRAME;
        let (frames, depth) = panels.panel(which);
        let _ = write!(body, "<g transform=\"translate({MARGIN} {top})\">{frames}</g>");
        top += (depth as f64 + 1.5) * FRAME;
    }
    let height = top + FRAME;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {WIDTH} {height}\" \
         aria-labelledby=\"t d\"><title id=\"t\">Stacks of {} and {}</title><desc id=\"d\">{}</desc>\
         <style>{STYLE}</style>",
        escaped(&files(&comparison.a), LONGEST),
        escaped(&files(&comparison.b), LONGEST),
        escaped(&description(stacks), LONGEST),
    );
    legend(&mut out);
    out + &body + "</svg>\n"
}

fn name(which: Which) -> &'static str {
    if which == Which::A { "A" } else { "B" }
}

fn files(side: &Side) -> String {
    side.files.join(" ")
}

fn description(stacks: &Stacks) -> String {
    format!("All: {}. Widths of both are in one scale.", super::number::step(stacks.total, stacks.unit))
}

/// What colours mean.
pub(crate) const LEGEND: [(&str, &str); 8] = [
    ("d4", "x0.5 and less"),
    ("d2", "less"),
    ("s", "the same"),
    ("n", "not more than chance"),
    ("u2", "more"),
    ("u4", "x2 and more"),
    ("u4 x", "on B alone"),
    ("d4 x", "on A alone"),
];

fn legend(out: &mut String) {
    let mut x = MARGIN;
    for (class, words) in LEGEND {
        let _ = write!(
            out,
            "<g class=\"{class}\"><rect x=\"{x}\" y=\"10\" width=\"14\" height=\"12\"/></g>\
             <text x=\"{}\" y=\"20\">{words}</text>",
            x + 18.0
        );
        x += 30.0 + LETTER * words.len() as f64;
    }
    let _ = write!(
        out,
        "<text x=\"{MARGIN}\" y=\"44\">Colour: change of a frame's total. Hover for figures.</text>"
    );
}

struct Panels<'a> {
    stacks: &'a Stacks,
    /// Width of 1 in the unit of the figures.
    scale: f64,
    out: String,
    depth: usize,
}

impl Panels<'_> {
    /// The frames of one side, callers above what they call, and how deep they go.
    fn panel(&mut self, which: Which) -> (String, usize) {
        self.depth = 0;
        let mut todo = vec![(Grown::ROOT, 0.0, 0)];
        while let Some((node, x, depth)) = todo.pop() {
            let width = self.width(node, which);
            if width < NARROWEST {
                continue;
            }
            self.depth = self.depth.max(depth + 1);
            self.frame(node, which, (x, depth, width));
            let mut x = x;
            for child in self.stacks.tree.children(node) {
                let width = self.width(child, which);
                if width >= NARROWEST {
                    todo.push((child, x, depth + 1));
                }
                x += width;
            }
        }
        (std::mem::take(&mut self.out), self.depth)
    }

    fn width(&self, node: NodeId, which: Which) -> f64 {
        let amount = self.stacks.amount(node);
        self.scale * if which == Which::A { amount.a } else { amount.b }
    }

    fn frame(&mut self, node: NodeId, which: Which, (x, depth, width): (f64, usize, f64)) {
        let amount = self.stacks.amount(node);
        let name = if node == Grown::ROOT { "all" } else { self.stacks.tree.name(node) };
        let y = depth as f64 * FRAME;
        let class = class(amount, self.stacks.is_noise(amount));
        let _ = write!(self.out, "<g class=\"f {class}\"><title>{}", escaped(name, LONGEST));
        let _ = write!(
            self.out,
            " on {}: {}</title><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\"/>",
            self::name(which),
            about(amount, self.stacks.unit),
            FRAME - 1.0,
        );
        let letters = ((width - 4.0) / LETTER) as usize;
        if letters >= 3 {
            let name = escaped(name, letters);
            let _ = write!(self.out, "<text x=\"{:.1}\" y=\"{}\">{name}</text>", x + 2.0, y + 12.0);
        }
        self.out.push_str("</g>\n");
    }
}

/// The figures of a frame.
pub(crate) fn about(amount: Amount, unit: Unit) -> String {
    let value = |value| of_unit(value, unit, short);
    let (change, ratio) = (of_unit(amount.change(), unit, signed), ratio(amount.ratio(), amount.a, amount.b));
    format!("A {}, B {}, {change} ({ratio})", value(amount.a), value(amount.b))
}

/// Steps of a doubling's quarter: the same ratio has the same colour in every picture.
pub(crate) fn class(amount: Amount, noise: bool) -> String {
    match amount.counts {
        [0, _] => return "u4 x".into(),
        [_, 0] => return "d4 x".into(),
        [a, b] if a == b && amount.a == amount.b => return "s".into(),
        _ if noise => return "n".into(),
        _ => {}
    }
    let doublings = amount.ratio().map_or(0.0, f64::log2);
    let step = (doublings.abs() * STEPS).round().clamp(1.0, STEPS);
    format!("{}{step}", if doublings > 0.0 { "u" } else { "d" })
}
