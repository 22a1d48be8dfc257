//! The mirror scores of pairs, by way of a [`Summary`].

use approx::assert_abs_diff_eq;

use super::mirror::{GUARD, MirrorScores};
use super::pair::score_pair;
use super::summary::Summary;

fn mirror(prediction: &[u8], mask: &[u8]) -> MirrorScores {
    let scores = score_pair(prediction, mask, mask.len(), 1).expect("a valid pair");
    Summary::from(&scores).mirror()
}

#[test]
fn by_hand() {
    // stretched: 0, 1/2, 1; mirror is the last two pixels, 254 is not
    let scores = mirror(&[100, 150, 200, 200], &[254, 0, 255, 255]);
    assert_abs_diff_eq!(scores.mae, 0.5 / 4.0, epsilon = 1e-15);
    // the unstretched prediction at 127.5: three pixels found, two of them mirror
    assert_abs_diff_eq!(scores.iou, 2.0 / 3.0, epsilon = 1e-15);
    // above 127/255: both mirror pixels and nothing else
    assert_abs_diff_eq!(scores.f_measure, 1.0, epsilon = 1e-15);
}

#[test]
fn f_is_of_the_mean_precision_and_recall() {
    let all = score_pair(&[255, 0], &[255, 0], 2, 1).expect("a valid pair");
    let none = score_pair(&[0, 255], &[255, 0], 2, 1).expect("a valid pair");
    let f_measure = Summary::of(&[all, none]).mirror().f_measure;
    // precision and recall of the wrong map: 1e-4 / 1.0001; at threshold 1 nothing is found, both precisions are 1
    let wrong = GUARD / (1.0 + GUARD);
    let low = (1.0 + wrong) / 2.0;
    let f = |p: f64, r: f64| 1.3 * p * r / (0.3 * p + r);
    assert_abs_diff_eq!(f_measure, f(low, low).max(f(1.0, wrong)), epsilon = 1e-15);
}

#[test]
fn defined_where_the_script_is_not() {
    let nothing = mirror(&[0, 0], &[0, 0]);
    assert_eq!((nothing.iou, nothing.mae), (0.0, 0.0));
    let flat = mirror(&[51, 51], &[255, 0]);
    assert_abs_diff_eq!(flat.mae, 0.5, epsilon = 1e-7);
}
