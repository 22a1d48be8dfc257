//! Wide lines as Pillow's `ImageDraw.line` draws them.
//!
//! Each piece is a rectangle across its direction. With `joint="curve"` each corner gets a slice of a circle, and a
//! thin line to fill what may gape between them.
//!
//! Source: `ImageDraw.line` of <https://github.com/python-pillow/Pillow/blob/13.0.0/src/PIL/ImageDraw.py>, and
//! `ImagingDrawWideLine` of its `src/libImaging/Draw.c`

use super::ellipse::fill_slice;
use super::polygon::{Corner, Edge, fill_between};
use crate::data::annotations::canvas::Canvas;

/// Paints a line through points; `rounded` is `joint="curve"`.
pub(in crate::data::annotations) fn fill(points: &[[f64; 2]], width: i32, rounded: bool, canvas: &mut Canvas) {
    for pair in points.windows(2) {
        fill_piece(corner(pair[0]), corner(pair[1]), width, canvas);
    }
    if rounded && width > 4 {
        points.windows(3).for_each(|three| fill_joint(three[0], three[1], three[2], width, canvas));
    }
}

fn corner(point: [f64; 2]) -> Corner {
    point.map(|at| at as i32)
}

/// One straight piece.
fn fill_piece(start: Corner, end: Corner, width: i32, canvas: &mut Canvas) {
    let (dx, dy) = (f64::from(end[0] - start[0]), f64::from(end[1] - start[1]));
    if start == end {
        return canvas.row(i64::from(start[1]), i64::from(start[0]), i64::from(start[0]));
    }
    let length = dx.hypot(dy);
    let half = f64::from(width - 1) / 2.0;
    let (more, less) = ((half + 0.5).floor() / length, (half - 0.5).ceil() / length);
    let [left, right] = [less, more].map(|ratio| round_down(ratio * dy));
    let [up, down] = [less, more].map(|ratio| round_down(ratio * dx));
    let corners = [
        [start[0] - left, start[1] + down],
        [end[0] - left, end[1] + down],
        [end[0] + right, end[1] - up],
        [start[0] + right, start[1] - up],
    ];
    let edges: [Edge; 4] = std::array::from_fn(|number| Edge::new(corners[number], corners[(number + 1) % 4]));
    fill_between(&edges, canvas);
}

/// The next whole number, halves towards zero.
fn round_down(value: f64) -> i32 {
    let size = (value.abs() - 0.5).ceil() as i32;
    if value >= 0.0 { size } else { -size }
}

/// The corner at `point`.
fn fill_joint(before: [f64; 2], point: [f64; 2], after: [f64; 2], width: i32, canvas: &mut Canvas) {
    let angle =
        |start: [f64; 2], end: [f64; 2]| (end[0] - start[0]).atan2(start[1] - end[1]).to_degrees().rem_euclid(360.0);
    let (first, second) = (angle(before, point), angle(point, after));
    if first == second {
        return;
    }
    let flipped = (second > first && second - 180.0 > first) || (second < first && second + 180.0 > first);
    let reach = f64::from(width) / 2.0 - 1.0;
    let (upper, lower) = (point.map(|at| at - f64::from(width) / 2.0 + 1.0), point.map(|at| at + reach));
    let (start, end) = if flipped { (second + 90.0, first + 90.0) } else { (first - 90.0, second - 90.0) };
    fill_slice(corner(upper), corner(lower), (start - 90.0) as f32, (end - 90.0) as f32, canvas);
    if width > 8 {
        let aside = if flipped { 90.0 } else { -90.0 };
        let beside = |angle: f64| {
            let radians = (angle + aside - 90.0).to_radians();
            let [dx, dy] = [reach * radians.cos(), reach * radians.sin()].map(|way| way.trunc());
            [point[0] + dx, point[1] + dy]
        };
        fill(&[beside(first), point, beside(second)], 3, false, canvas);
    }
}
