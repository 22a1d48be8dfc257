//! `curves.svg`: loss and scores of a run, from its log.

use std::fs;
use std::path::Path;

use super::error::ReportError;
use super::svg::{Axis, Line, Panel, document, ticks};
use crate::files::write::write_in_own_folder;
use crate::train::run_folder::state::SELECTION_KEY;

/// Writes `curves.svg` into the run's folder from its log.
///
/// # Errors
/// When the log cannot be read or the file not be written.
pub fn write_curves(folder: &Path, log: &Path) -> Result<(), ReportError> {
    let text = fs::read_to_string(log).map_err(|source| ReportError::Read { path: log.to_owned(), source })?;
    let curves =
        Curves::read(&text).map_err(|(line, reason)| ReportError::Log { path: log.to_owned(), line, reason })?;
    let path = folder.join("curves.svg");
    write_in_own_folder(&path, curves.svg()).map_err(|source| ReportError::Write { path, source })
}

/// What the log says, as points.
#[derive(Debug)]
struct Curves {
    /// (step, loss).
    loss: Vec<(f64, f64)>,
    /// The scores that are drawn.
    kind: [Score; 3],
    /// For each of them, (step, value).
    scores: Vec<Vec<(f64, f64)>>,
}

/// A score's key, and what stands in the legend.
type Score = (&'static str, &'static str);

/// The scores that are drawn: of one class, of classes that exclude each other, of classes that may overlap. A log is of the first
/// kind whose first score it has.
const KINDS: [[Score; 3]; 3] = [
    [(SELECTION_KEY, "IoU of the binary map"), ("Smeasure", "S-measure"), ("meanEm", "mean E-measure")],
    [
        ("foreground_mIoU", "mean IoU without background"),
        ("foreground_mDice", "mean Dice without it"),
        ("aAcc", "pixels right"),
    ],
    [("mIoU", "mean IoU"), ("mDice", "mean Dice"), ("mRecall", "mean recall")],
];
const COLOURS: [&str; 3] = ["#c2410c", "#0f766e", "#7c3aed"];
const LOSS_COLOUR: &str = "#1d4ed8";

impl Curves {
    /// Errors are the line's number and what is wrong with it.
    fn read(log: &str) -> Result<Self, (usize, String)> {
        let mut curves = Self { loss: Vec::new(), kind: KINDS[0], scores: vec![Vec::new(); KINDS[0].len()] };
        let (mut at, mut is_known) = (0.0, false);
        for (line, text) in log.lines().enumerate() {
            let record: serde_json::Value = serde_json::from_str(text).map_err(|e| (line + 1, e.to_string()))?;
            if let (Some(step), Some(loss)) = (record["step"].as_f64(), record["loss"].as_f64()) {
                at = step;
                curves.loss.push((step, loss));
            }
            let validation = &record["validation"];
            // a score that does not exist is there as `null`
            let has_first = |kind: &&[Score; 3]| validation.get(kind[0].0).is_some();
            if let Some(kind) = KINDS.iter().find(has_first).filter(|_| !is_known) {
                (curves.kind, is_known) = (*kind, true);
            }
            for ((key, _), points) in curves.kind.iter().zip(&mut curves.scores) {
                if let Some(value) = validation[key].as_f64() {
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
            lines: self
                .kind
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let classes = log.replace("sample_biiou", "foreground_mIoU").replace("Smeasure", "foreground_mDice");
        let classes = Curves::read(&classes).unwrap();
        assert_eq!((&classes.scores[0][..], &classes.scores[1][..]), (&[(2.0, 0.5)][..], &[(2.0, 0.6)][..]));
        assert!(classes.svg().contains("mean IoU without background"));
        assert!(Curves::read("").unwrap().svg().ends_with("</svg>\n"));
        assert_eq!(Curves::read("{\"step\":1}\nnonsense").unwrap_err().0, 2);
    }
}
