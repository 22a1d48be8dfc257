//! Diagrams as SVG.

use std::fmt::Write;

/// Round numbers, about five of them, that enclose `low..=high`.
pub(super) fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low && (high - low).is_finite() { high - low } else { 1.0 };
    let power = 10f64.powf((span / 5.0).log10().floor());
    let unit = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|unit| span / unit <= 5.5);
    let unit = unit.unwrap_or(span);
    let first = (low / unit).floor();
    let count = ((low + span) / unit - first - 1e-9).ceil().max(1.0) as usize;
    (0..=count).map(|k| (first + k as f64) * unit).collect()
}

/// One diagram.
pub(super) struct Panel<'a> {
    pub(super) title: &'a str,
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    pub(super) lines: Vec<Line<'a>>,
}

pub(super) struct Axis<'a> {
    pub(super) label: &'a str,
    pub(super) ticks: Vec<f64>,
}

impl Axis<'_> {
    /// Where `value` lies between the first tick (0) and the last (1).
    fn share(&self, value: f64) -> f64 {
        match self.ticks[..] {
            [first, .., last] => (value - first) / (last - first),
            _ => 0.0,
        }
    }
}

pub(super) struct Line<'a> {
    pub(super) points: Vec<(f64, f64)>,
    pub(super) colour: &'a str,
    pub(super) width: f64,
    pub(super) opacity: f64,
    pub(super) dots: bool,
    pub(super) name: &'a str,
}

/// Size of a panel's plotting area, and the room around it.
const PLOT: (f64, f64) = (430.0, 270.0);
const MARGIN: (f64, f64, f64, f64) = (64.0, 24.0, 64.0, 56.0);

/// The drawing of `panels` side by side.
pub(super) fn document(panels: &[Panel]) -> String {
    let (left, right, top, bottom) = MARGIN;
    let (cell, height) = (left + PLOT.0 + right, top + PLOT.1 + bottom);
    let width = cell * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#374151\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        // writing to a string cannot fail
        let _ = writeln!(svg, "<g transform=\"translate({} {top})\">", number as f64 * cell + left);
        draw(&mut svg, panel);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel) {
    let (width, height) = PLOT;
    let place = |(x, y): (f64, f64)| (panel.x.share(x) * width, height - panel.y.share(y) * height);
    let mut put = |text: std::fmt::Arguments| {
        // writing to a string cannot fail
        let _ = svg.write_fmt(text);
        svg.push('\n');
    };
    put(format_args!(
        "<text x=\"0\" y=\"-36\" font-size=\"15\" font-weight=\"600\" fill=\"#111827\">{}</text>",
        panel.title
    ));
    for &tick in &panel.y.ticks {
        let (_, y) = place((0.0, tick));
        put(format_args!("<line x1=\"0\" y1=\"{y:.1}\" x2=\"{width}\" y2=\"{y:.1}\" stroke=\"#e5e7eb\"/>"));
        put(format_args!("<text x=\"-8\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", y + 4.0, number(tick)));
    }
    for &tick in &panel.x.ticks {
        let (x, _) = place((tick, 0.0));
        put(format_args!(
            "<line x1=\"{x:.1}\" y1=\"{height}\" x2=\"{x:.1}\" y2=\"{}\" stroke=\"#9ca3af\"/>",
            height + 5.0
        ));
        put(format_args!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", height + 20.0, number(tick)));
    }
    put(format_args!("<line x1=\"0\" y1=\"{height}\" x2=\"{width}\" y2=\"{height}\" stroke=\"#9ca3af\"/>"));
    put(format_args!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        width / 2.0,
        height + 42.0,
        panel.x.label
    ));
    put(format_args!(
        "<text transform=\"translate(-46 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        height / 2.0,
        panel.y.label
    ));
    let mut legend = 0.0;
    for line in &panel.lines {
        let style = format!(
            "fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-opacity=\"{}\" stroke-linejoin=\"round\"",
            line.colour, line.width, line.opacity
        );
        let points: Vec<_> = line.points.iter().map(|&point| place(point)).collect();
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        put(format_args!("<polyline points=\"{}\" {style}/>", path.join(" ")));
        if line.dots {
            for (x, y) in points {
                put(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"/>", line.colour));
            }
        }
        put(format_args!("<line x1=\"{legend}\" y1=\"-16\" x2=\"{}\" y2=\"-16\" {style}/>", legend + 20.0));
        put(format_args!("<text x=\"{}\" y=\"-12\">{}</text>", legend + 26.0, line.name));
        legend += 46.0 + 6.4 * line.name.len() as f64;
    }
}

/// A tick's text: no more digits than it needs.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_range() {
        assert_eq!(ticks(0.0, 1.0).len(), 6);
        assert_eq!(ticks(0.0, 300.0), [0.0, 100.0, 200.0, 300.0]);
        for high in [0.013, 0.7, 1.0, 4.6, 25.0, 299.0, 300.0, 12345.0] {
            let ticks = ticks(0.0, high);
            assert!((3..=8).contains(&ticks.len()), "{high}: {ticks:?}");
            assert!(ticks[0] == 0.0 && *ticks.last().unwrap() >= high * 0.999_999, "{high}: {ticks:?}");
        }
        assert_eq!(ticks(0.0, 0.0), ticks(0.0, 1.0));
        assert_eq!([0.0, 0.25, 300.0, 4.0].map(number), ["0", "0.25", "300", "4"]);
    }
}
