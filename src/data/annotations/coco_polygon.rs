//! Polygons as pycocotools rasterises them (`rleFrPoly` of its `maskApi.c`), to the pixel.
//!
//! Corners are brought to a grid of five points a pixel and rounded. The outline is walked on that grid, along its
//! longer axis, one point a step. Wherever it passes the middle of a column of pixels, the column changes between
//! outside and inside, at the next pixel below.
//!
//! pycocotools makes all points of the walk. Here only those are computed at which a column's middle is passed, by the
//! same floating-point operations, so that a corner far outside the image costs no more than any other.
//!
//! Source: <https://github.com/ppwwyyxx/cocoapi/blob/master/common/maskApi.c>

use super::canvas::Canvas;

/// Points of the grid to a pixel.
const SCALE: i32 = 5;

/// A coordinate on the grid: `(int)(5 v + .5)`, which rounds towards zero.
pub(super) fn on_grid(coordinate: f64) -> i32 {
    (f64::from(SCALE) * coordinate + 0.5) as i32
}

/// Whether a point of the grid lies outside a picture of `width` and `height` pixels.
pub(super) fn is_outside([x, y]: [i32; 2], (width, height): (usize, usize)) -> bool {
    let beyond = |at: i32, count: usize| at < 0 || i64::from(at) > i64::from(SCALE) * count as i64;
    beyond(x, width) || beyond(y, height)
}

/// Paints a polygon, whose corners are points of the grid.
pub(super) fn fill(corners: &[[i32; 2]], canvas: &mut Canvas) {
    let (width, height) = canvas.size();
    let (Some(low), Some(high)) = (corners.iter().map(|[x, _]| *x).min(), corners.iter().map(|[x, _]| *x).max()) else {
        return;
    };
    let columns = Columns::between(low, high, width);
    // for each column: at which rows it changes between outside and inside; the row `height` is below the last
    let mut changes = vec![false; columns.count() * (height + 1)];
    for (number, from) in corners.iter().enumerate() {
        let to = &corners[(number + 1) % corners.len()];
        passed(*from, *to, columns, &mut |column, v| {
            // from the row whose middle comes next
            let row = (i64::from(v) + 2).div_euclid(5).clamp(0, height as i64) as usize;
            changes[(column - columns.first) as usize * (height + 1) + row] ^= true;
        });
    }
    for (column, changes) in (columns.first..).zip(changes.chunks_exact(height + 1)) {
        let mut rows = changes.iter().enumerate().filter(|(_, changes)| **changes).map(|(row, _)| row as i64);
        while let Some(first) = rows.next() {
            canvas.column(column, first, rows.next().unwrap_or(height as i64));
        }
    }
}

/// Neighbouring columns of pixels.
#[derive(Clone, Copy)]
struct Columns {
    first: i64,
    end: i64,
}

impl Columns {
    /// Those of a picture whose middle lies between two points of the grid: column `k` is passed between `5 k + 2` and
    /// `5 k + 3`.
    fn between(low: i32, high: i32, width: usize) -> Self {
        let first = (i64::from(low) + 2).div_euclid(5).max(0);
        let end = ((i64::from(high) - 3).div_euclid(5) + 1).min(width as i64);
        Self { first, end: end.max(first) }
    }

    fn count(self) -> usize {
        (self.end - self.first) as usize
    }

    fn and(self, other: Self) -> Self {
        let first = self.first.max(other.first);
        Self { first, end: self.end.min(other.end).max(first) }
    }
}

/// For each of `columns` that an edge passes: the upper of the two points of the walk between which it does.
fn passed(from: [i32; 2], to: [i32; 2], columns: Columns, found: &mut impl FnMut(i64, i32)) {
    let (across, down) = (i64::from(to[0]) - i64::from(from[0]), i64::from(to[1]) - i64::from(from[1]));
    let flat = across.abs() >= down.abs();
    let turned = if flat { across < 0 } else { down < 0 };
    let ([x, y], [end_x, end_y]) = if turned { (to, from) } else { (from, to) };
    let columns = Columns::between(x.min(end_x), x.max(end_x), usize::MAX >> 1).and(columns);
    // as pycocotools has it: whole numbers are widened one by one, and rounded towards zero at the end
    let along = |start: i32, slope: f64, step: i32| (f64::from(start) + slope * f64::from(step) + 0.5) as i32;
    if flat {
        let slope = f64::from(end_y - y) / f64::from(end_x - x);
        for column in columns.first..columns.end {
            let step = (5 * column + 2) as i32 - x;
            found(column, along(y, slope, step).min(along(y, slope, step + 1)));
        }
    } else {
        let steps = end_y - y;
        let slope = f64::from(end_x - x) / f64::from(steps);
        let rising = end_x > x;
        for column in columns.first..columns.end {
            let middle = (5 * column + 2) as i32;
            // the first step behind the column's middle; the walk goes one way, so it can be searched for by halves
            let behind =
                |step: i32| if rising { along(x, slope, step) > middle } else { along(x, slope, step) <= middle };
            let (mut before, mut first) = (0, steps);
            while first - before > 1 {
                let half = before + (first - before) / 2;
                if behind(half) { first = half } else { before = half }
            }
            found(column, y + before);
        }
    }
}
