//! What a run leaves for the eye: `curves.svg` from the log, `samples.png` from the model.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::learner::{LearnError, Learner};
use super::run::SELECTION_KEY;
use crate::data::{DataError, Dataset, Flips, SheetRow, contact_sheet, saved_mask, write_png};

/// Rows of the contact sheet.
const SAMPLES: usize = 8;
/// Side of one of its pictures, in pixels.
const TILE: usize = 160;

/// Why curves or pictures could not be made. The model is saved by then.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The log could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line of the log is no record.
    #[error("{}, line {line}: {reason}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The curves could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A sample could not be read, or the contact sheet not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
}

/// Writes `curves.svg` into the run's folder from its log.
///
/// # Errors
/// When the log cannot be read or the file not be written.
pub fn write_curves(folder: &Path, log: &Path) -> Result<(), ReportError> {
    let text = fs::read_to_string(log).map_err(|source| ReportError::Read { path: log.to_owned(), source })?;
    let curves =
        Curves::read(&text).map_err(|(line, reason)| ReportError::Log { path: log.to_owned(), line, reason })?;
    let path = folder.join("curves.svg");
    fs::write(&path, curves.svg()).map_err(|source| ReportError::Write { path, source })
}

/// Writes `samples.png` into the run's folder: images, predictions and truths of samples spread over
/// `dataset`, at their own size as `predict` would save them.
///
/// # Errors
/// When a sample cannot be read, the model fails, or the file cannot be written.
pub fn write_samples(
    folder: &Path,
    dataset: &dyn Dataset,
    learner: &dyn Learner,
    side: usize,
) -> Result<(), ReportError> {
    let count = dataset.len().min(SAMPLES);
    let rows: Result<Vec<_>, ReportError> = (0..count)
        .map(|row| {
            let index = row * dataset.len() / count;
            let (image, truth) = dataset.pair(index)?;
            let example = dataset.example(index, side, Flips::default())?;
            let logits = learner.predict(&example.image, 1, side)?;
            let prediction = saved_mask(&logits, side, image.width, image.height, false);
            Ok(SheetRow { image, prediction, truth })
        })
        .collect();
    Ok(write_png(&folder.join("samples.png"), &contact_sheet(&rows?, TILE))?)
}

/// What the log says, as points.
#[derive(Debug, Default)]
struct Curves {
    /// (step, loss).
    loss: Vec<(f64, f64)>,
    /// For each score that is drawn, (step, value).
    scores: Vec<Vec<(f64, f64)>>,
}

/// The scores that are drawn, with what stands in the legend; the first one chooses `best`.
const SCORES: [(&str, &str); 3] =
    [(SELECTION_KEY, "IoU of the binary map"), ("Smeasure", "S-measure"), ("meanEm", "mean E-measure")];
const COLOURS: [&str; 3] = ["#c2410c", "#0f766e", "#7c3aed"];
const LOSS_COLOUR: &str = "#1d4ed8";

impl Curves {
    /// Errors are the line's number and what is wrong with it.
    fn read(log: &str) -> Result<Self, (usize, String)> {
        let mut curves = Self { loss: Vec::new(), scores: vec![Vec::new(); SCORES.len()] };
        let mut at = 0.0;
        for (line, text) in log.lines().enumerate() {
            let record: serde_json::Value = serde_json::from_str(text).map_err(|e| (line + 1, e.to_string()))?;
            if let (Some(step), Some(loss)) = (record["step"].as_f64(), record["loss"].as_f64()) {
                at = step;
                curves.loss.push((step, loss));
            }
            for ((key, _), points) in SCORES.iter().zip(&mut curves.scores) {
                if let Some(value) = record["validation"][key].as_f64() {
                    points.push((at, value));
                }
            }
        }
        Ok(curves)
    }

    fn svg(&self) -> String {
        let steps = self.loss.last().map_or(1.0, |(step, _)| step.max(1.0));
        let loss = Panel {
            title: "Training loss",
            x: Axis { label: "step", ticks: ticks(0.0, steps) },
            y: Axis { label: "loss", ticks: ticks(0.0, highest(&self.loss)) },
            lines: vec![
                Line {
                    points: thinned(&self.loss),
                    colour: LOSS_COLOUR,
                    width: 1.0,
                    opacity: 0.25,
                    dots: false,
                    name: "each step",
                },
                Line {
                    points: thinned(&smoothed(&self.loss)),
                    colour: LOSS_COLOUR,
                    width: 2.2,
                    opacity: 1.0,
                    dots: false,
                    name: "smoothed",
                },
            ],
        };
        let validated = self.scores.iter().any(|points| !points.is_empty());
        let scores = validated.then(|| Panel {
            title: "Validation",
            x: Axis { label: "step", ticks: ticks(0.0, steps) },
            y: Axis { label: "score", ticks: ticks(0.0, 1.0) },
            lines: SCORES
                .iter()
                .zip(&self.scores)
                .zip(COLOURS)
                .map(|(((_, name), points), colour)| {
                    let width = if colour == COLOURS[0] { 2.2 } else { 1.4 };
                    Line { points: points.clone(), colour, width, opacity: 1.0, dots: true, name }
                })
                .collect(),
        });
        document(&[Some(loss), scores].into_iter().flatten().collect::<Vec<_>>())
    }
}

fn highest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, y)| *y).fold(0.0, f64::max)
}

/// An exponential mean over about a thirtieth of the run, started without bias.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let new = 1.0 / (points.len() as f64 / 30.0).clamp(1.0, 200.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let mean = |&(x, y): &(f64, f64)| {
        sum = (1.0 - new) * sum + new * y;
        weight = (1.0 - new) * weight + new;
        (x, sum / weight)
    };
    points.iter().map(mean).collect()
}

/// At most about a thousand points, the last one among them: a screen shows no more.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stride = points.len().div_ceil(1000).max(1);
    let mut kept: Vec<_> = points.iter().step_by(stride).copied().collect();
    if !(points.len().max(1) - 1).is_multiple_of(stride) {
        kept.extend(points.last());
    }
    kept
}

/// Round numbers, about five of them, that enclose `low..=high`.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low && (high - low).is_finite() { high - low } else { 1.0 };
    let power = 10f64.powf((span / 5.0).log10().floor());
    let unit = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|unit| span / unit <= 5.5);
    let unit = unit.unwrap_or(span);
    let first = (low / unit).floor();
    let count = ((low + span) / unit - first - 1e-9).ceil().max(1.0) as usize;
    (0..=count).map(|k| (first + k as f64) * unit).collect()
}

/// One diagram.
struct Panel<'a> {
    title: &'a str,
    x: Axis<'a>,
    y: Axis<'a>,
    lines: Vec<Line<'a>>,
}

struct Axis<'a> {
    label: &'a str,
    ticks: Vec<f64>,
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

struct Line<'a> {
    points: Vec<(f64, f64)>,
    colour: &'a str,
    width: f64,
    opacity: f64,
    dots: bool,
    name: &'a str,
}

/// Size of a panel's plotting area, and the room around it.
const PLOT: (f64, f64) = (430.0, 270.0);
const MARGIN: (f64, f64, f64, f64) = (64.0, 24.0, 64.0, 56.0);

fn document(panels: &[Panel]) -> String {
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

    #[test]
    fn smoothing_keeps_a_constant_and_thinning_the_last_point() {
        let flat: Vec<_> = (1..=2500).map(|step| (f64::from(step), 2.0)).collect();
        assert!(smoothed(&flat).iter().all(|(_, y)| (y - 2.0).abs() < 1e-9));
        let thin = thinned(&flat);
        assert!(thin.len() <= 1001 && thin.last() == flat.last() && thin[0] == flat[0]);
        assert_eq!(thinned(&flat[..3]), flat[..3]);
        assert!(thinned(&[]).is_empty());
    }

    #[test]
    fn curves_draw_what_the_log_says() {
        let log = "{\"step\":1,\"epoch\":1,\"loss\":4.0,\"lr\":0.001,\"seconds\":0.1}\n\
                   {\"step\":2,\"epoch\":1,\"loss\":2.0,\"lr\":0.001,\"seconds\":0.1}\n\
                   {\"epoch\":1,\"validation\":{\"sample_biiou\":0.5,\"Smeasure\":0.6,\"meanEm\":0.7}}\n";
        let curves = Curves::read(log).unwrap();
        assert_eq!(curves.loss, [(1.0, 4.0), (2.0, 2.0)]);
        assert_eq!(curves.scores[0], [(2.0, 0.5)]);
        let svg = curves.svg();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (5, 3));
        // loss 4 of 0..=4 is at the top, step 1 of 0..=2 in the middle
        assert!(svg.contains("points=\"215.0,0.0 430.0,135.0\""), "{svg}");
        let without = Curves::read(log.lines().next().unwrap()).unwrap().svg();
        assert!(!without.contains("Validation"));
        assert!(Curves::read("").unwrap().svg().ends_with("</svg>\n"));
        assert_eq!(Curves::read("{\"step\":1}\nnonsense").unwrap_err().0, 2);
    }
}
