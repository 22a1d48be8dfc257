//! Polygons and rectangles as Pillow's `ImageDraw` fills them with `outline=1, fill=1`.
//!
//! Corners lose their fraction (`(int)`). Rows are filled between where edges cross them, in single precision, corners
//! and horizontal edges included; some corners are widened so that thin shapes hang together.
//!
//! Source: `polygon_generic` of <https://github.com/python-pillow/Pillow/blob/13.0.0/src/libImaging/Draw.c>

use crate::data::annotations::canvas::Canvas;

/// A point without its fraction.
pub(in crate::data::annotations) type Corner = [i32; 2];

/// One edge of a polygon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    start: Corner,
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    /// Columns to a row.
    slope: f32,
}

impl Edge {
    pub(super) fn new(start: Corner, end: Corner) -> Self {
        let rows = end[1] - start[1];
        Self {
            start,
            left: start[0].min(end[0]),
            right: start[0].max(end[0]),
            top: start[1].min(end[1]),
            bottom: start[1].max(end[1]),
            slope: if rows == 0 { 0.0 } else { (end[0] - start[0]) as f32 / rows as f32 },
        }
    }

    /// Where it crosses a row.
    fn at(&self, row: i32) -> f32 {
        (row - self.start[1]) as f32 * self.slope + self.start[0] as f32
    }

    fn has_end_in(&self, row: i32) -> bool {
        row == self.top || row == self.bottom
    }

    fn is_horizontal(&self) -> bool {
        self.top == self.bottom
    }
}

/// Paints a polygon.
pub(in crate::data::annotations) fn fill(corners: &[Corner], canvas: &mut Canvas) {
    fill_between(&edges(corners), canvas);
}

/// Paints a rectangle between two corners, the upper left first; both belong to it.
pub(in crate::data::annotations) fn fill_rectangle(first: Corner, last: Corner, canvas: &mut Canvas) {
    let rows = i64::from(first[1]).max(0)..=i64::from(last[1]).min(canvas.size().1 as i64);
    rows.for_each(|row| canvas.row(row, i64::from(first[0]), i64::from(last[0])));
}

/// The edges of a polygon. A horizontal edge that goes on in the direction of the horizontal edge before it is one with
/// it.
fn edges(corners: &[Corner]) -> Vec<Edge> {
    let (Some(first), Some(last)) = (corners.first(), corners.last()) else { return Vec::new() };
    let mut edges: Vec<Edge> = Vec::with_capacity(corners.len());
    for (number, pair) in corners.windows(2).enumerate() {
        let (start, end) = (pair[0], pair[1]);
        let before = number.checked_sub(1).map(|before| corners[before]).filter(|before| before[1] == start[1]);
        if let (Some(before), Some(edge), true) = (before, edges.last_mut(), start[1] == end[1]) {
            if end[0] > start[0] && start[0] > before[0] {
                edge.right = end[0];
                continue;
            }
            if end[0] < start[0] && start[0] < before[0] {
                edge.left = end[0];
                continue;
            }
        }
        edges.push(Edge::new(start, end));
    }
    if first != last {
        edges.push(Edge::new(*last, *first));
    }
    edges
}

/// Fills the rows between edges, and the horizontal edges.
pub(super) fn fill_between(edges: &[Edge], canvas: &mut Canvas) {
    let height = canvas.size().1 as i32;
    let (horizontal, mut slanted): (Vec<&Edge>, Vec<&Edge>) = edges.iter().partition(|edge| edge.is_horizontal());
    for edge in horizontal {
        canvas.row(i64::from(edge.top), i64::from(edge.left), i64::from(edge.right));
    }
    let Some(first) = edges.iter().map(|edge| edge.top).min() else { return };
    let last = edges.iter().map(|edge| edge.bottom).fold(0, i32::max).min(height);
    // edges keep their order, as a corner is joined to the first that fits; those of the row at hand are picked out
    slanted.retain(|edge| edge.bottom >= 0 && edge.top <= last);
    let mut waiting: Vec<usize> = (0..slanted.len()).collect();
    waiting.sort_by_key(|number| std::cmp::Reverse(slanted[*number].top));
    let mut active: Vec<usize> = Vec::new();
    let mut crossings: Vec<f32> = Vec::new();
    let mut ending: Vec<&Edge> = Vec::new();
    for row in first.max(0)..=last {
        active.retain(|number| slanted[*number].bottom >= row);
        let before = active.len();
        while waiting.last().is_some_and(|number| slanted[*number].top <= row) {
            active.extend(waiting.pop());
        }
        if active.len() > before {
            active.sort_unstable();
        }
        crossings.clear();
        ending.clear();
        for edge in active.iter().map(|number| slanted[*number]) {
            let crossing = edge.at(row);
            if row == edge.bottom && row < last {
                // it ends here: left and right of it are the same
                crossings.extend([crossing; 2]);
            } else if edge.has_end_in(row) && edge.slope != 0.0 {
                crossings.push(joined(edge, row, crossing, &ending));
            } else {
                crossings.push(crossing);
            }
            if edge.has_end_in(row) && edge.slope != 0.0 {
                ending.push(edge);
            }
        }
        crossings.sort_unstable_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            canvas.row(i64::from(row), i64::from(round_up(pair[0])), i64::from(round_down(pair[1])));
        }
    }
}

/// Where an edge that ends in a row crosses it: where it meets one of `others` and both go far to one side, next to
/// where they are in the neighbouring row.
fn joined(edge: &Edge, row: i32, crossing: f32, others: &[&Edge]) -> f32 {
    let neighbour = if row == edge.bottom { row - 1 } else { row + 1 };
    let meets =
        |other: &&&Edge| crossing.round() == other.at(row).round() && (other.top..=other.bottom).contains(&neighbour);
    let Some(other) = others.iter().find(meets) else { return crossing };
    let (here, there) = (edge.at(neighbour), other.at(neighbour));
    if crossing > here + 1.0 && crossing > there + 1.0 {
        here.max(there).round() + 1.0
    } else if crossing < here - 1.0 && crossing < there - 1.0 {
        here.min(there).round() - 1.0
    } else {
        crossing
    }
}

/// The next whole number, halves away from zero. Below zero Pillow's macro adds in double precision.
fn round_up(value: f32) -> i32 {
    if value >= 0.0 { (value + 0.5).floor() as i32 } else { -((f64::from(-value) + 0.5).floor() as i32) }
}

/// The next whole number, halves towards zero.
fn round_down(value: f32) -> i32 {
    if value >= 0.0 { (value - 0.5).ceil() as i32 } else { -((f64::from(-value) - 0.5).ceil() as i32) }
}
