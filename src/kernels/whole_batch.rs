//! One batch that several processes hold, each of them some of its images.

use std::fmt::Debug;

/// The whole batch of which this process holds a part: what batch norms must know of the other parts. Without one, a process
/// holds the whole batch itself.
///
/// Each method takes what is true of this process's rows, and gives what is true of all rows: the same bits to each
/// process. So all processes call the same methods in the same order. There is no error to give: where another process is
/// lost, a method does not return.
pub trait WholeBatch: Debug {
    /// How many rows all have of a map of which this process has `own`.
    fn rows(&self, own: usize) -> usize;

    /// Whether this process's rows are of the batch. Of a batch with fewer images than there are processes, one is left without an
    /// image, and computes another's in order to take part: its rows count in nothing, and have no gradient.
    fn counts(&self) -> bool;

    /// Of sums over this process's rows makes the sums over all rows, in place.
    fn sum(&self, sums: &mut [f64]);

    /// Of the means over this process's `own` rows, and the sums of squared deviations from them, makes those of all rows, in
    /// place; there is one of each for each channel.
    fn moments(&self, own: usize, mean: &mut [f64], squares: &mut [f64]);
}

/// How many rows the whole batch has of a map of which this process has `own`.
pub fn all_rows(whole: Option<&dyn WholeBatch>, own: usize) -> usize {
    whole.map_or(own, |whole| whole.rows(own))
}

/// Mean and sum of squared deviations of some rows, for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Moments<'a> {
    /// How many rows.
    pub rows: usize,
    /// Means.
    pub mean: &'a [f64],
    /// Sums of squared deviations from the mean.
    pub squares: &'a [f64],
}

/// The moments of all rows from those of their parts, added in their order (Chan, Golub and LeVeque, "Updating formulae and a
/// pairwise algorithm for computing sample variances", 1979): means that are far larger than the spread cost no accuracy.
/// Parts without a row change nothing. Gives how many rows all have.
pub fn merge_moments<'a>(parts: impl IntoIterator<Item = Moments<'a>>, mean: &mut [f64], squares: &mut [f64]) -> usize {
    let mut parts = parts.into_iter().filter(|part| part.rows > 0);
    let Some(first) = parts.next() else { return 0 };
    mean.copy_from_slice(first.mean);
    squares.copy_from_slice(first.squares);
    let mut rows = first.rows;
    for part in parts {
        let (before, all) = (rows as f64, (rows + part.rows) as f64);
        let share = part.rows as f64 / all;
        for (((mean, squares), m), s) in mean.iter_mut().zip(&mut *squares).zip(part.mean).zip(part.squares) {
            let step = m - *mean;
            *mean += step * share;
            *squares += s + step * step * before * share;
        }
        rows += part.rows;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments of one channel.
    fn of(x: &[f64]) -> (usize, [f64; 1], [f64; 1]) {
        let mean = x.iter().sum::<f64>() / x.len().max(1) as f64;
        (x.len(), [mean], [x.iter().map(|x| (x - mean).powi(2)).sum()])
    }

    #[test]
    fn merged_moments_are_those_of_all_rows_wherever_they_are_cut() {
        let x: Vec<f64> = (0..40).map(|i| 3000.0 + f64::from(i * 37 % 11) / 10.0).collect();
        let (_, [wanted_mean], [wanted_squares]) = of(&x);
        for cuts in [[0, 0, 40], [1, 2, 3], [13, 13, 13], [7, 20, 39], [40, 40, 40]] {
            let parts = [&x[..cuts[0]], &x[cuts[0]..cuts[1]], &x[cuts[1]..cuts[2]], &x[cuts[2]..]].map(of);
            let parts = parts.iter().map(|(rows, mean, squares)| Moments { rows: *rows, mean, squares });
            let (mut mean, mut squares) = ([f64::NAN], [f64::NAN]);
            assert_eq!(merge_moments(parts, &mut mean, &mut squares), 40);
            assert!((mean[0] - wanted_mean).abs() < 1e-11, "{cuts:?}: mean {mean:?}, wanted {wanted_mean}");
            let error = (squares[0] / wanted_squares - 1.0).abs();
            assert!(error < 1e-12, "{cuts:?}: squares {squares:?}, wanted {wanted_squares}");
        }
    }

    #[test]
    fn a_single_part_is_kept_to_the_bit() {
        let (rows, mean, squares) = of(&[0.1, 0.7, -3.3]);
        let (mut m, mut s) = ([0.0], [0.0]);
        let parts = [(0, [9.0], [9.0]), (rows, mean, squares), (0, [9.0], [9.0])];
        let parts = parts.iter().map(|(rows, mean, squares)| Moments { rows: *rows, mean, squares });
        assert_eq!(merge_moments(parts, &mut m, &mut s), 3);
        assert_eq!((m, s), (mean, squares));
    }
}
