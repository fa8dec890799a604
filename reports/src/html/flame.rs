//! Flame graphs as parts of a page: callers above what they call, widths in per cent
//! of the page, so that they fit it without a script. Each frame is an SVG of its own,
//! which cuts its name off where it ends.

use std::cmp::Reverse;

use maud::{Markup, html};

use crate::markup::{LONGEST, bounded};
use crate::page::count;

/// Narrower frames are below a pixel of a wide window.
const NARROWEST: f64 = 1.0 / 1600.0;
/// Frames of a picture: with two of them a page stays below a megabyte.
const MOST: usize = 2000;
/// Narrower frames have no room for a name.
const NAMED: f64 = 0.02;
/// Height of a frame and of the space below it, in pixels.
const FRAME: u32 = 17;

/// Where a frame lies: from where to where, as shares of the width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    node: u32,
    depth: u32,
    x: f64,
    width: f64,
}

/// What a frame shows.
pub(super) struct Frame {
    pub(super) name: String,
    /// Of the style: its colour.
    pub(super) class: String,
    /// Figures, below its name where the pointer rests.
    pub(super) about: String,
}

/// Every frame with a width, callers before what they call.
pub(super) fn spots(children: impl Fn(u32) -> Vec<u32>, width: impl Fn(u32) -> f64) -> Vec<Spot> {
    let mut spots = Vec::new();
    let mut todo = vec![Spot { node: 0, depth: 0, x: 0.0, width: width(0) }];
    while let Some(spot) = todo.pop() {
        if spot.width <= 0.0 {
            continue;
        }
        spots.push(spot);
        let mut x = spot.x;
        let first = todo.len();
        for node in children(spot.node) {
            let width = width(node);
            todo.push(Spot { node, depth: spot.depth + 1, x, width });
            x += width;
        }
        todo[first..].reverse();
    }
    spots
}

/// The widest, as many as there is room for. A caller is as wide as what it calls and
/// stands before it, so that no frame hangs in the air.
fn widest(spots: &[Spot]) -> Vec<Spot> {
    let mut order: Vec<usize> = (0..spots.len()).filter(|at| spots[*at].width >= NARROWEST).collect();
    // Widths are positive, and of these the bits are in the same order.
    order.sort_by_key(|at| (Reverse(spots[*at].width.to_bits()), *at));
    order.truncate(MOST);
    order.sort_unstable();
    order.into_iter().map(|at| spots[at]).collect()
}

/// The picture, and below it how many frames there was no room for.
pub(super) fn picture(title: &str, spots: &[Spot], frame: impl Fn(u32) -> Frame) -> Markup {
    let drawn = widest(spots);
    let depth = drawn.iter().map(|spot| spot.depth + 1).max().unwrap_or(0);
    let (title, left) = (bounded(title, LONGEST), spots.len() - drawn.len());
    html! {
        figure.flame {
            figcaption { (title) }
            svg width="100%" height=(depth * FRAME) role="img" {
                title { (title) }
                @for spot in &drawn { (one(spot, &frame(spot.node))) "\n" }
            }
            @if left > 0 { p.more {
                (count(left, "narrower frame")) " left out, which the recording has"
            } }
        }
    }
}

fn one(spot: &Spot, frame: &Frame) -> Markup {
    let name = bounded(&frame.name, LONGEST / 2);
    html! {
        svg class={ "f " (frame.class) } x=(percent(spot.x)) width=(percent(spot.width)) y=(spot.depth * FRAME)
            height=(FRAME - 1) {
            title { (name) "\n" (frame.about) }
            rect width="100%" height="100%" {}
            @if spot.width >= NAMED { text x="3" y="12" { (name) } }
        }
    }
}

/// To a thousandth, which is a hundredth of a pixel.
fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root over so many frames that are equally wide, each over another.
    fn wide(number: u32) -> Vec<Spot> {
        let children = |node: u32| match node {
            0 => (1..=number).collect(),
            node if node <= number => vec![node + number],
            _ => Vec::new(),
        };
        spots(children, |node| if node == 0 { 1.0 } else { 1.0 / f64::from(number) })
    }

    fn drawn(spots: &[Spot]) -> String {
        let frame = |node| Frame { name: format!("<f{node}>"), class: "p0".into(), about: String::new() };
        picture("all", spots, frame).into_string()
    }

    #[test]
    fn frames_lie_below_their_callers() {
        let text = drawn(&wide(4));
        assert!(text.contains("x=\"25%\" width=\"25%\" y=\"17\""), "{text}");
        assert!(text.contains("x=\"75%\" width=\"25%\" y=\"34\""), "{text}");
        assert!(text.contains("&lt;f4&gt;") && !text.contains("<f4>") && !text.contains("left out"));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let text = drawn(&wide(1400));
        assert_eq!(text.matches("<title>").count(), MOST + 1);
        assert!(text.contains("801 narrower frames left out"), "{}", &text[text.len() - 200..]);
        let text = drawn(&wide(5000));
        assert!(text.contains("10000 narrower frames left out"), "{}", &text[text.len() - 200..]);
    }

    #[test]
    fn no_frame_is_drawn_without_its_caller() {
        let spots = wide(1400);
        let kept = widest(&spots);
        let ends: Vec<_> = kept.iter().filter(|spot| spot.depth == 2).map(|spot| spot.x.to_bits()).collect();
        assert!(!ends.is_empty());
        assert!(ends.iter().all(|x| kept.iter().any(|spot| spot.depth == 1 && spot.x.to_bits() == *x)));
    }
}
