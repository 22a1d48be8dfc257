//! The nearest foreground pixel of every pixel: a Euclidean feature transform in linear time.
//!
//! First along the columns, then along the rows by the lower envelope of parabolas (Meijster, Roerdink and Hesselink,
//! "A general algorithm for computing distance transforms in linear time", 2000). All arithmetic is in integers.
//!
//! Several foreground pixels may be equally near. The choice among them is that of SciPy's `distance_transform_edt`:
//! the leftmost column, and in it the upper row. SciPy goes along the columns first and along the rows then (Maurer,
//! Qi and Raghavan, PAMI 2003), and on either way keeps the earlier pixel on a tie.

/// A pixel's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
}

/// The feature transform of one mask, asked row by row.
pub(super) struct NearestForeground {
    width: usize,
    /// Columns with foreground in them, from left to right.
    columns: Vec<usize>,
    /// Row of the nearest foreground pixel in the same column, the upper one on a tie; (H, W).
    nearest_row: Vec<i32>,
    /// The parabolas of the row in work that form the lower envelope.
    envelope: Vec<Parabola>,
    /// The answer for the row in work.
    places: Vec<Place>,
}

/// A column's squared distance `(x - column)^2 + height`, the smallest of all from `from` up to the next one's `from`.
#[derive(Clone, Copy)]
struct Parabola {
    column: i64,
    height: i64,
    row: usize,
    from: i64,
}

impl Parabola {
    fn at(&self, x: i64) -> i64 {
        (x - self.column).pow(2) + self.height
    }
}

/// Farther than any row, and safe to subtract a row from.
const NOWHERE: i32 = i32::MAX / 2;

impl NearestForeground {
    /// Prepares the transform of a mask of (H, W) with at least one foreground pixel.
    pub(super) fn new(mask: &[u8], width: usize, is_foreground: impl Fn(u8) -> bool) -> Self {
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
            columns,
            nearest_row,
            envelope: Vec::with_capacity(width),
            places: vec![Place { row: 0, column: 0 }; width],
        }
    }

    /// The nearest foreground pixel of each pixel of row `y`.
    pub(super) fn row(&mut self, y: usize) -> &[Place] {
        let nearest_row = &self.nearest_row[y * self.width..][..self.width];
        let end = self.width as i64;
        let envelope = &mut self.envelope;
        envelope.clear();
        for &column in &self.columns {
            let row = nearest_row[column] as usize;
            let mut parabola = Parabola { column: column as i64, height: (row as i64 - y as i64).pow(2), row, from: 0 };
            // strictly below the last one where that begins: nowhere smallest any more
            while envelope.pop_if(|last| last.at(last.from) > parabola.at(last.from)).is_some() {}
            if let Some(last) = envelope.last() {
                // smaller than the last one right of where they meet; where they are equal the last one stays
                let (u, i) = (parabola.column, last.column);
                let meet = (u * u - i * i + parabola.height - last.height) / (2 * (u - i));
                parabola.from = meet + 1;
            }
            if parabola.from < end {
                envelope.push(parabola);
            }
        }
        let mut to = self.width;
        for parabola in envelope.iter().rev() {
            let from = parabola.from as usize;
            self.places[from..to].fill(Place { row: parabola.row, column: parabola.column as usize });
            to = from;
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

    #[test]
    fn equals_a_plain_search() {
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for case in 0..400 {
            let (width, height) = (1 + next(24) as usize, 1 + next(24) as usize);
            let rarity = 1 + next(40);
            let mut mask: Vec<u8> = (0..width * height).map(|_| u8::from(next(rarity) == 0)).collect();
            let one = next(mask.len() as u64) as usize;
            mask[one] = 1;
            let mut transform = NearestForeground::new(&mask, width, |level| level > 0);
            for y in 0..height {
                for (x, &place) in transform.row(y).iter().enumerate() {
                    assert_eq!(place, by_search(&mask, width, y, x), "case {case}, {width}x{height}, ({y}, {x})");
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
        let mut transform = NearestForeground::new(&mask, 3, |level| level > 0);
        assert_eq!(transform.row(1)[1], Place { row: 1, column: 0 });
        #[rustfmt::skip]
        let mask = [
            0, 1, 0,
            0, 0, 0,
            0, 1, 0,
        ];
        let mut transform = NearestForeground::new(&mask, 3, |level| level > 0);
        assert_eq!(transform.row(1)[1], Place { row: 0, column: 1 });
    }
}
