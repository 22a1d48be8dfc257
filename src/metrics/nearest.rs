//! The nearest foreground pixel of every pixel: a Euclidean feature transform in linear time.
//!
//! First along the columns, then along the rows by the lower envelope of parabolas (Meijster, Roerdink and Hesselink,
//! "A general algorithm for computing distance transforms in linear time", 2000). Where rows and columns lie 1 apart,
//! squared distances are whole numbers, which double precision holds exactly.
//!
//! Several foreground pixels may be equally near. The choice among them is that of SciPy's `distance_transform_edt`:
//! the leftmost column, and in it the upper row. SciPy goes along the columns first and along the rows then (Maurer,
//! Qi and Raghavan, PAMI 2003), and on either way keeps the earlier pixel on a tie.

use super::spacing::Spacing;

/// A pixel's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
}

/// The feature transform of one mask, asked row by row.
pub(super) struct NearestForeground {
    width: usize,
    spacing: Spacing,
    /// Columns with foreground in them, from left to right.
    columns: Vec<usize>,
    /// Row of the nearest foreground pixel in the same column, the upper one on a tie; (H, W).
    nearest_row: Vec<i32>,
    /// The parabolas of the row in work that form the lower envelope.
    envelope: Vec<Parabola>,
    /// The answer for the row in work.
    places: Vec<Place>,
}

/// A column's squared distance `(x - place)^2 + height`, the smallest of all from the column `from` up to the next
/// one's `from`.
#[derive(Clone, Copy)]
struct Parabola {
    /// Columns times their distance.
    place: f64,
    height: f64,
    column: usize,
    row: usize,
    from: usize,
}

impl Parabola {
    fn at(&self, x: f64) -> f64 {
        (x - self.place) * (x - self.place) + self.height
    }
}

/// Farther than any row, and safe to subtract a row from.
const NOWHERE: i32 = i32::MAX / 2;

impl NearestForeground {
    /// Prepares the transform of a mask of (H, W) with at least one foreground pixel.
    pub(super) fn new(mask: &[u8], width: usize, spacing: Spacing, is_foreground: impl Fn(u8) -> bool) -> Self {
        let height = mask.len() / width;
        let mut nearest_row = vec![0_i32; mask.len()];
        let mut above = vec![-NOWHERE; width];
        for (y, (row, mask)) in nearest_row.chunks_exact_mut(width).zip(mask.chunks_exact(width)).enumerate() {
            for ((nearest, above), &level) in row.iter_mut().zip(&mut above).zip(mask) {
                *above = if is_foreground(level) { y as i32 } else { *above };
                *nearest = *above;
            }
        }
        let columns = (0..width).filter(|&x| above[x] >= 0).collect();
        let mut below = vec![NOWHERE; width];
        for y in (0..height).rev() {
            let row = &mut nearest_row[y * width..][..width];
            let y = y as i32;
            for (nearest, below) in row.iter_mut().zip(&mut below) {
                // a foreground pixel is its own nearest, and then the nearest from below for the rows above
                *below = if *nearest == y { y } else { *below };
                *nearest = if y - *nearest <= *below - y { *nearest } else { *below };
            }
        }
        Self {
            width,
            spacing,
            columns,
            nearest_row,
            envelope: Vec::with_capacity(width),
            places: vec![Place { row: 0, column: 0 }; width],
        }
    }

    /// The distance from a pixel to the nearest foreground pixel, found by looking at the columns beside it: at as many
    /// to either side as the distance is long. Each takes one of `steps`; `None` where these do not suffice.
    pub(super) fn distance_near(&self, y: usize, x: usize, steps: &mut usize) -> Option<f64> {
        let nearest_row = &self.nearest_row[y * self.width..][..self.width];
        let squared = |column: usize| match nearest_row[column] {
            row if row.abs() == NOWHERE => f64::INFINITY,
            row => (f64::from(row - y as i32) * self.spacing.row()).powi(2),
        };
        let mut least = squared(x);
        for beside in 1..self.width {
            let right = (beside as f64 * self.spacing.column()).powi(2);
            if right >= least {
                break;
            }
            *steps = steps.checked_sub(1)?;
            for column in [x.checked_sub(beside), Some(x + beside).filter(|column| *column < self.width)] {
                least = column.map_or(least, |column| least.min(right + squared(column)));
            }
        }
        Some(least.sqrt())
    }

    /// The nearest foreground pixel of each pixel of row `y`.
    pub(super) fn row(&mut self, y: usize) -> &[Place] {
        let nearest_row = &self.nearest_row[y * self.width..][..self.width];
        let (down, right) = (self.spacing.row(), self.spacing.column());
        let envelope = &mut self.envelope;
        envelope.clear();
        for &column in &self.columns {
            let row = nearest_row[column] as usize;
            let height = row.abs_diff(y) as f64 * down;
            let mut parabola = Parabola { place: column as f64 * right, height: height * height, column, row, from: 0 };
            let is_higher = |last: &mut Parabola| {
                let from = last.from as f64 * right;
                last.at(from) > parabola.at(from)
            };
            // strictly below the last one where that begins: nowhere smallest any more
            while envelope.pop_if(is_higher).is_some() {}
            if let Some(last) = envelope.last() {
                // smaller than the last one right of where they meet; where they are equal the last one stays
                let (u, i) = (parabola.place, last.place);
                let meet = ((u - i) * (u + i) + parabola.height - last.height) / (2.0 * right * (u - i));
                // not left of the last one, whatever was rounded
                parabola.from = (meet.clamp(0.0, self.width as f64) as usize + 1).max(last.from);
            }
            if parabola.from < self.width {
                envelope.push(parabola);
            }
        }
        let mut to = self.width;
        for parabola in envelope.iter().rev() {
            self.places[parabola.from..to].fill(Place { row: parabola.row, column: parabola.column });
            to = parabola.from;
        }
        &self.places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule in its plainest form.
    fn by_search(mask: &[u8], width: usize, y: usize, x: usize) -> Place {
        let height = mask.len() / width;
        let mut best = None;
        for column in 0..width {
            for row in 0..height {
                let squared = (row.abs_diff(y)).pow(2) + (column.abs_diff(x)).pow(2);
                if mask[row * width + column] > 0 && best.is_none_or(|(least, _)| squared < least) {
                    best = Some((squared, Place { row, column }));
                }
            }
        }
        best.expect("the mask has foreground").1
    }

    fn next(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 33) % below
    }

    /// A mask with at least one foreground pixel, and its width.
    fn random_mask(state: &mut u64) -> (Vec<u8>, usize) {
        let (width, height) = (1 + next(state, 24) as usize, 1 + next(state, 24) as usize);
        let rarity = 1 + next(state, 40);
        let mut mask: Vec<u8> = (0..width * height).map(|_| u8::from(next(state, rarity) == 0)).collect();
        let one = next(state, mask.len() as u64) as usize;
        mask[one] = 1;
        (mask, width)
    }

    #[test]
    fn equals_a_plain_search() {
        let mut state = 1_u64;
        for case in 0..400 {
            let (mask, width) = random_mask(&mut state);
            let height = mask.len() / width;
            let mut transform = NearestForeground::new(&mask, width, Spacing::PIXELS, |level| level > 0);
            for y in 0..height {
                for (x, &place) in transform.row(y).iter().enumerate() {
                    assert_eq!(place, by_search(&mask, width, y, x), "case {case}, {width}x{height}, ({y}, {x})");
                }
            }
        }
    }

    #[test]
    fn distances_with_a_spacing_equal_a_plain_search() {
        let mut state = 2_u64;
        for (row, column) in [(0.5, 0.7), (3.0, 1.0), (1.0, 40.0), (1e-6, 1e6), (1e6, 1e-6), (0.1, 0.1)] {
            let spacing = Spacing::new(row, column).expect("a spacing");
            for case in 0..60 {
                let (mask, width) = random_mask(&mut state);
                let foreground: Vec<usize> = (0..mask.len()).filter(|&at| mask[at] > 0).collect();
                let mut transform = NearestForeground::new(&mask, width, spacing, |level| level > 0);
                let mut places = Vec::new();
                for y in 0..mask.len() / width {
                    for (x, place) in transform.row(y).iter().enumerate() {
                        let to = |at: &usize| spacing.distance((at / width).abs_diff(y), (at % width).abs_diff(x));
                        let least = foreground.iter().map(to).fold(f64::INFINITY, f64::min);
                        let found = spacing.distance(place.row.abs_diff(y), place.column.abs_diff(x));
                        places.push((y, x, least));
                        assert!(mask[place.row * width + place.column] > 0);
                        assert!(found <= least * (1.0 + 1e-12), "case {case}, {spacing}, ({y}, {x}): {found}, {least}");
                    }
                }
                for (y, x, least) in places {
                    let (mut few, mut enough) = (1, width);
                    let found = transform.distance_near(y, x, &mut enough);
                    assert_eq!(found, Some(least), "case {case}, {spacing}, ({y}, {x})");
                    assert!(transform.distance_near(y, x, &mut few).is_none_or(|found| found == least));
                }
            }
        }
    }

    #[test]
    fn ties_go_left_then_up() {
        #[rustfmt::skip]
        let mask = [
            0, 1, 0,
            1, 0, 1,
            0, 1, 0,
        ];
        let mut transform = NearestForeground::new(&mask, 3, Spacing::PIXELS, |level| level > 0);
        assert_eq!(transform.row(1)[1], Place { row: 1, column: 0 });
        #[rustfmt::skip]
        let mask = [
            0, 1, 0,
            0, 0, 0,
            0, 1, 0,
        ];
        let mut transform = NearestForeground::new(&mask, 3, Spacing::PIXELS, |level| level > 0);
        assert_eq!(transform.row(1)[1], Place { row: 0, column: 1 });
    }
}
