//! Charts as SVG: counts and percentiles over time, and how durations and values are spread. plotters does axes and
//! places; [`backend`] writes.

use hostdiag_model::Recording;
use hostdiag_model::trace::{Payload, Trace};
use plotters::coord::Shift;
use plotters::prelude::*;

use self::axis::{Axis, Scale};
use self::backend::{GRID, INK, Svg};
use crate::markup::{LONGEST, escaped};

mod axis;
mod backend;
mod latency;
mod rates;
mod spread;
mod timers;
mod values;

/// How charts look, in the light and in the dark.
const STYLE: &str = include_str!("chart/style.css");

/// Pixels, as far as one may speak of them: it grows with the page.
const WIDTH: u32 = 960;
const HEIGHT: u32 = 320;
/// What the names of series have, right of the plot.
const LEGEND: u32 = 220;
/// What the title has, above it.
const TITLE: u32 = 30;
/// Series that are told apart; the rest is one more.
const MOST: usize = 7;

/// One chart.
#[derive(Clone, Debug, PartialEq)]
struct Chart {
    title: String,
    /// In a sentence, for who does not see it.
    description: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
}

/// A line in it.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: String,
    /// What stands beside the pointer.
    about: String,
    /// In the units of the axes.
    points: Vec<(f64, f64)>,
}

/// The charts of a recording. Absent where it has none.
pub fn svg(recording: &Recording, trace: &Trace) -> Option<String> {
    let charts = charts(trace)?;
    let title = format!("{} of {}", recording.command, recording.host.name);
    document(&title, &charts)
}

/// The same, each to stand in a page that has their style.
pub fn figures(trace: &Trace) -> Vec<String> {
    charts(trace).unwrap_or_default().iter().filter_map(figure).collect()
}

fn charts(trace: &Trace) -> Option<Vec<Chart>> {
    match trace.windows.iter().next()?.payload {
        Payload::Counts(_) => Some(vec![rates::chart(trace)]),
        Payload::Latency(_) => Some(latency::charts(trace)),
        Payload::Timers(_) => Some(timers::charts(trace)),
        Payload::Values(_) => Some(vec![values::chart(trace)]),
        Payload::Distribution(_) => Some(values::distribution(trace)),
        Payload::Stacks(_) => None,
    }
}

fn figure(chart: &Chart) -> Option<String> {
    let mut text = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\"><title>{}</title><desc>{}</desc>\n",
        HEIGHT + TITLE,
        escape(&chart.title),
        escape(&chart.description)
    );
    content(chart, &mut text)?;
    text.push_str("</svg>\n");
    Some(text)
}

/// The title, axes, lines and their names.
fn content(chart: &Chart, text: &mut String) -> Option<()> {
    text.push_str(&format!("<text class=\"title\" x=\"12\" y=\"20\">{}</text>\n", escape(&chart.title)));
    draw(chart, text)?;
    legend(chart, text);
    Some(())
}

/// An SVG that stands alone. Absent where plotters finds no place for a chart.
fn document(title: &str, charts: &[Chart]) -> Option<String> {
    let height = (HEIGHT + TITLE) * u32::try_from(charts.len()).ok()?;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"title\">\n<title id=\"title\">{}</title>\n<style>{}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        escape(title),
        STYLE,
    );
    for (number, chart) in charts.iter().enumerate() {
        let top = (HEIGHT + TITLE) * u32::try_from(number).ok()?;
        text.push_str(&format!(
            "<g role=\"img\" transform=\"translate(0 {top})\"><title>{}</title><desc>{}</desc>\n",
            escape(&chart.title),
            escape(&chart.description)
        ));
        content(chart, &mut text)?;
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    Some(text)
}

/// Axes, grid and lines.
fn draw(chart: &Chart, text: &mut String) -> Option<()> {
    let titles: Vec<String> = chart.series.iter().map(|series| series.about.clone()).collect();
    let mut body = String::new();
    let area = Svg::new(&mut body, (WIDTH - LEGEND, HEIGHT), &titles).into_drawing_area();
    lines(chart, &area)?;
    area.present().ok()?;
    drop(area);
    text.push_str(&format!("<g transform=\"translate(0 {TITLE})\">\n{body}</g>\n"));
    Some(())
}

fn lines(chart: &Chart, area: &DrawingArea<Svg<'_>, Shift>) -> Option<()> {
    let x = Scale::of(&chart.x, chart.points().map(|(x, _)| x));
    let y = Scale::of(&chart.y, chart.points().map(|(_, y)| y));
    let mut plot = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d(x, y)
        .ok()?;
    let style = ("sans-serif", 13).into_font().color(&INK);
    plot.configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(style)
        .x_label_formatter(&|x| chart.x.label(*x))
        .y_label_formatter(&|y| chart.y.label(*y))
        .x_desc(chart.x.name())
        .y_desc(chart.y.name())
        .draw()
        .ok()?;
    for (number, series) in chart.series.iter().enumerate() {
        let points = series.points.iter().map(|(x, y)| (chart.x.place(*x), chart.y.place(*y)));
        plot.draw_series(LineSeries::new(points, backend::series(number))).ok()?;
    }
    Some(())
}

/// The names of the lines, each with a piece of it.
fn legend(chart: &Chart, text: &mut String) {
    let left = WIDTH - LEGEND + 8;
    for (number, series) in chart.series.iter().enumerate() {
        let y = TITLE as usize + 22 + 20 * number;
        let name = shortened(&series.name);
        text.push_str(&format!(
            "<polyline class=\"line s{number}\" points=\"{left},{y} {},{y}\"/>\
             <text x=\"{}\" y=\"{y}\" dy=\".35em\">{}<title>{}</title></text>\n",
            left + 24,
            left + 30,
            escape(&name),
            escape(&series.about),
        ));
    }
}

/// A name that has room beside the plot: of a longer one the middle is left out, since names
/// that begin alike often end otherwise.
fn shortened(name: &str) -> String {
    const ROOM: usize = 25;
    const DOTS: &str = "...";
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= ROOM {
        return name.into();
    }
    let kept = (ROOM - DOTS.len()) / 2;
    let (start, end) = (&letters[..kept], &letters[letters.len() - kept..]);
    start.iter().copied().chain(DOTS.chars()).chain(end.iter().copied()).collect()
}

impl Chart {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|series| series.points.iter().copied())
    }
}

/// As it stands in the document.
fn escape(text: &str) -> String {
    escaped(text, LONGEST)
}

#[cfg(test)]
#[path = "chart/tests.rs"]
mod tests;
