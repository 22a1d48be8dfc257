//! Polygons as OpenCV's `fillPoly` fills them (8-connected, no fraction), which is how Ultralytics rasterises its
//! labels.
//!
//! The outline is drawn by Bresenham's algorithm. The inside of each row lies between where edges cross it, in steps of
//! 1/65536 pixel. An edge that leaves the picture is clipped to it first.
//!
//! Source: `CollectPolyEdges`, `FillEdgeCollection` and `LineIterator` of
//! <https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/drawing.cpp>

use super::canvas::Canvas;

/// Bits of a column's fraction.
const FRACTION: u32 = 16;

type Point = [i64; 2];

/// An edge that is not horizontal.
struct Edge {
    top: i64,
    /// The row after its last.
    end: i64,
    /// Where it crosses its first row, with fraction.
    x: i64,
    /// Columns to a row, with fraction.
    slope: i64,
}

/// Paints a polygon.
pub(super) fn fill(corners: &[[i32; 2]], canvas: &mut Canvas) {
    let (width, height) = canvas.size();
    let size = [width as i64, height as i64];
    let Some(mut last) = corners.last().map(|corner| corner.map(i64::from)) else { return };
    let mut edges = Vec::new();
    for corner in corners.iter().map(|corner| corner.map(i64::from)) {
        line(last, corner, size, canvas);
        edges.extend(Edge::between(last, corner, size));
        last = corner;
    }
    edges.sort_by_key(|edge| std::cmp::Reverse(edge.top));
    let (Some(first), Some(end)) = (edges.last().map(|edge| edge.top), edges.iter().map(|edge| edge.end).max()) else {
        return;
    };
    let mut active: Vec<Edge> = Vec::new();
    let mut crossings: Vec<i64> = Vec::new();
    for row in first.max(0)..end.min(size[1]) {
        while edges.last().is_some_and(|edge| edge.top <= row) {
            active.extend(edges.pop());
        }
        active.retain(|edge| edge.end > row);
        crossings.clear();
        crossings.extend(active.iter().map(|edge| edge.x + (row - edge.top) * edge.slope));
        crossings.sort_unstable();
        for pair in crossings.chunks_exact(2) {
            canvas.row(row, (pair[0] + (1 << FRACTION) - 1) >> FRACTION, pair[1] >> FRACTION);
        }
    }
}

impl Edge {
    fn between(from: Point, to: Point, size: Point) -> Option<Self> {
        if from[1] == to[1] {
            return None;
        }
        let (mut start, mut end) = (from, to);
        clip(&mut start, &mut end, size);
        // what is left may be one row, which has no slope
        let rows = if start[1] == end[1] { [from[1], to[1]] } else { [start[1], end[1]] };
        let [x, end_x] = [start[0] << FRACTION, end[0] << FRACTION];
        let slope = (end_x - x) / (rows[1] - rows[0]);
        let (top, x) = if from[1] < to[1] {
            (from[1], x + (from[1] - rows[0]) * slope)
        } else {
            (to[1], end_x + (to[1] - rows[1]) * slope)
        };
        Some(Self { top, end: from[1].max(to[1]), x, slope })
    }
}

/// Brings the ends of a line into the picture, as OpenCV's `clipLine`; false if nothing is left.
fn clip(start: &mut Point, end: &mut Point, size: Point) -> bool {
    let (right, bottom) = (size[0] - 1, size[1] - 1);
    let beside = |x: i64| u8::from(x < 0) + 2 * u8::from(x > right);
    let outside = |[x, y]: Point| beside(x) + 4 * u8::from(y < 0) + 8 * u8::from(y > bottom);
    let (mut first, mut second) = (outside(*start), outside(*end));
    if first & second == 0 && first | second != 0 {
        if first & 12 != 0 {
            let edge = if first < 8 { 0 } else { bottom };
            start[0] += (edge - start[1]) * (end[0] - start[0]) / (end[1] - start[1]);
            start[1] = edge;
            first = beside(start[0]);
        }
        if second & 12 != 0 {
            let edge = if second < 8 { 0 } else { bottom };
            end[0] += (edge - end[1]) * (end[0] - start[0]) / (end[1] - start[1]);
            end[1] = edge;
            second = beside(end[0]);
        }
        if first & second == 0 && first | second != 0 {
            if first != 0 {
                let edge = if first == 1 { 0 } else { right };
                start[1] += (edge - start[0]) * (end[1] - start[1]) / (end[0] - start[0]);
                start[0] = edge;
                first = 0;
            }
            if second != 0 {
                let edge = if second == 1 { 0 } else { right };
                end[1] += (edge - end[0]) * (end[1] - start[1]) / (end[0] - start[0]);
                end[0] = edge;
                second = 0;
            }
        }
    }
    first | second == 0
}

/// Draws a line from left to right.
fn line(mut start: Point, mut end: Point, size: Point, canvas: &mut Canvas) {
    if !clip(&mut start, &mut end, size) {
        return;
    }
    if end[0] < start[0] {
        std::mem::swap(&mut start, &mut end);
    }
    let (across, down) = (end[0] - start[0], (end[1] - start[1]).abs());
    let step_down = if end[1] < start[1] { -1 } else { 1 };
    let steep = down > across;
    let (long, short) = (across.max(down), across.min(down));
    let [mut x, mut y] = start;
    let mut error = long - 2 * short;
    for _ in 0..=long {
        canvas.row(y, x, x);
        let aside = error < 0;
        error += if aside { 2 * (long - short) } else { -2 * short };
        x += i64::from(!steep || aside);
        y += if steep || aside { step_down } else { 0 };
    }
}
