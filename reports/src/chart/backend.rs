//! Where plotters draws: text of an SVG that says what things are, by classes, and
//! leaves colours to its style, so that it is readable in the light and in the dark.

use std::convert::Infallible;
use std::fmt::Write;

use plotters::style::RGBColor;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};

use super::escape;

/// Axes and text.
pub(super) const INK: RGBColor = RGBColor(0, 0, 0);
/// Lines to read values by.
pub(super) const GRID: RGBColor = RGBColor(0, 0, 1);

/// The colour that stands for a series, by its number.
pub(super) fn series(number: usize) -> RGBColor {
    RGBColor(1, 0, u8::try_from(number).unwrap_or(u8::MAX))
}

/// Width of a character, in hundredths of the size of the font: text is laid out with
/// it, whatever font it is shown in then.
const WIDTH: u32 = 58;

type Result = std::result::Result<(), DrawingErrorKind<Infallible>>;

/// A part of an SVG.
pub(super) struct Svg<'a> {
    pub(super) body: &'a mut String,
    pub(super) size: (u32, u32),
    /// What the series are, which is shown beside the pointer.
    pub(super) titles: &'a [String],
    /// Lines of the grid, which are one path.
    grid: String,
}

impl<'a> Svg<'a> {
    pub(super) fn new(body: &'a mut String, size: (u32, u32), titles: &'a [String]) -> Self {
        Self { body, size, titles, grid: String::new() }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) -> Result {
        // Writing to a string does not fail.
        let _ = self.body.write_fmt(text);
        Ok(())
    }

    fn title(&self, color: BackendColor) -> String {
        match color.rgb {
            (1, 0, number) => {
                let title = self.titles.get(usize::from(number));
                title.map_or(String::new(), |title| format!("<title>{}</title>", escape(title)))
            }
            _ => String::new(),
        }
    }
}

/// What it is, as the style knows it.
fn class(color: BackendColor) -> String {
    match color.rgb {
        (1, 0, number) => format!("s{number}"),
        (0, 0, 1) => "grid".into(),
        _ => "ink".into(),
    }
}

fn points(path: impl IntoIterator<Item = BackendCoord>) -> String {
    let mut points = String::new();
    let mut last = None;
    for point in path {
        // Points that fall together say nothing.
        if last != Some(point) {
            let _ = write!(points, "{}{},{}", if last.is_some() { " " } else { "" }, point.0, point.1);
        }
        last = Some(point);
    }
    points
}

impl DrawingBackend for Svg<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Result {
        Ok(())
    }

    fn present(&mut self) -> Result {
        let grid = std::mem::take(&mut self.grid);
        if grid.is_empty() { Ok(()) } else { self.put(format_args!("<path class=\"grid\" d=\"{grid}\"/>\n")) }
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Result {
        let class = class(color);
        self.put(format_args!("<path class=\"{class}\" d=\"M{x},{y}h1\"/>\n"))
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Result {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Result {
        let color = style.color();
        if color.alpha == 0.0 {
            return Ok(());
        }
        let (class, points, title) = (class(color), points(path), self.title(color));
        if class == "grid" {
            self.grid.push('M');
            self.grid.push_str(&points);
            return Ok(());
        }
        self.put(format_args!("<polyline class=\"line {class}\" points=\"{points}\">{title}</polyline>\n"))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        _fill: bool,
    ) -> Result {
        let class = class(style.color());
        let (width, height) = (right - left, bottom - top);
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>\n"
        ))
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> Result {
        let (class, points) = (class(style.color()), points(vert));
        self.put(format_args!("<polygon class=\"{class}\" points=\"{points}\"/>\n"))
    }

    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, (x, y): BackendCoord) -> Result {
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        // Of letters, what is above the line is some 0.7 of the size of the font.
        let down = match style.anchor().v_pos {
            VPos::Top => ".75em",
            VPos::Center => ".35em",
            VPos::Bottom => "-.2em",
        };
        let turned = match style.transform() {
            FontTransform::None => String::new(),
            FontTransform::Rotate90 => format!(" transform=\"rotate(90 {x} {y})\""),
            FontTransform::Rotate180 => format!(" transform=\"rotate(180 {x} {y})\""),
            FontTransform::Rotate270 => format!(" transform=\"rotate(270 {x} {y})\""),
        };
        let text = escape(text);
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{y}\" dy=\"{down}\" text-anchor=\"{anchor}\"{turned}>{text}</text>\n"
        ))
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> std::result::Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = style.size() as u32;
        let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        Ok((letters.saturating_mul(size * WIDTH / 100), size))
    }
}
