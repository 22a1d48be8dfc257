//! Ellipses, and slices of them, as Pillow's `ImageDraw` fills them.
//!
//! An ellipse lies in a grid of two points a pixel around its centre. One quarter of its outline is walked by
//! Bresenham's algorithm; the other three mirror it.
//!
//! Source: `ellipse_*` and `pie_init` of <https://github.com/python-pillow/Pillow/blob/13.0.0/src/libImaging/Draw.c>

use super::polygon::Corner;
use crate::data::annotations::canvas::Canvas;

/// Paints an ellipse in the box between two corners, the upper left first; both belong to it.
pub(in crate::data::annotations) fn fill(first: Corner, last: Corner, canvas: &mut Canvas) {
    let Some(ellipse) = Ellipse::between(first, last) else { return };
    ellipse.rows(&mut |y, left, right| ellipse.paint(y, left, right, canvas));
}

/// Paints the slice of an ellipse from the angle `start` to the angle `end`, in degrees, clockwise from the right.
pub(super) fn fill_slice(first: Corner, last: Corner, start: f32, end: f32, canvas: &mut Canvas) {
    let Some(ellipse) = Ellipse::between(first, last) else { return };
    let (start, end) = normalised(start, end);
    if start + 360.0 == end {
        return fill(first, last, canvas);
    }
    if start == end {
        return;
    }
    let slice = Slice::of(&ellipse, start, end);
    ellipse.rows(&mut |y, left, right| {
        slice.clip(y, left, right).into_iter().flatten().for_each(|(l, r)| ellipse.paint(y, l, r, canvas));
    });
}

/// `0 <= start < 360` and `start <= end <= start + 360`.
fn normalised(start: f32, end: f32) -> (f32, f32) {
    if end - start >= 360.0 {
        return (0.0, 360.0);
    }
    // remainders are computed in double precision, and results stored in single precision
    let wide = f64::from(start);
    let first = (if start < 0.0 { 360.0 - -wide % 360.0 } else { wide } % 360.0) as f32;
    let span = if end < first { 360.0 - f64::from(first - end) % 360.0 } else { f64::from(end - first) };
    (first, (f64::from(first) + span % 360.0) as f32)
}

/// The box of an ellipse: its upper left corner, and how far the others are.
struct Ellipse {
    corner: Corner,
    width: i64,
    height: i64,
}

impl Ellipse {
    fn between(first: Corner, last: Corner) -> Option<Self> {
        let (width, height) = (i64::from(last[0]) - i64::from(first[0]), i64::from(last[1]) - i64::from(first[1]));
        (width >= 0 && height >= 0).then_some(Self { corner: first, width, height })
    }

    /// Each row's stretches in the grid: `y`, from, to.
    fn rows(&self, found: &mut impl FnMut(i64, i64, i64)) {
        // as thick as can be; thinner only where the box is so narrow that there is nothing else
        let thickness = self.width + self.height;
        let mut outer = Quarter::new(self.width, self.height);
        let leftmost = self.width % 2;
        let (Some(mut at), true) = (outer.next(), thickness >= 1) else { return };
        let mut inner = Quarter::new(self.width - 2 * (thickness - 1), self.height - 2 * (thickness - 1));
        let mut from = leftmost;
        loop {
            let ((to, y), mut left) = (at, from);
            let next = outer.find(|(_, other)| *other > y);
            let inside = loop {
                match inner.next() {
                    Some((x, other)) if other <= y => left = x,
                    other => break other,
                }
            };
            from = inside.map_or(leftmost, |(x, _)| x);
            for y in [-y, y].into_iter().take(if y > 0 { 2 } else { 1 }) {
                found(y, -to, -left);
                if left > 0 || left < to {
                    found(y, if left == 0 { 2 } else { left }, to);
                }
            }
            let Some(next) = next else { return };
            at = next;
        }
    }

    fn paint(&self, y: i64, left: i64, right: i64, canvas: &mut Canvas) {
        let [x0, y0] = self.corner.map(i64::from);
        canvas.row(y0 + (y + self.height) / 2, x0 + (left + self.width) / 2, x0 + (right + self.width) / 2);
    }
}

/// A quarter of an outline, from its right end upwards; `None` when it is walked.
struct Quarter {
    axes: [i128; 2],
    at: Option<[i64; 2]>,
    end: [i64; 2],
}

impl Quarter {
    fn new(width: i64, height: i64) -> Self {
        let at = (width >= 0 && height >= 0).then_some([width, height.rem_euclid(2)]);
        Self { axes: [width, height].map(i128::from), at, end: [width.rem_euclid(2), height] }
    }

    /// How far a point is from the ellipse.
    fn distance(&self, [x, y]: [i64; 2]) -> i128 {
        let [a, b] = self.axes.map(|axis| axis * axis);
        let [x, y] = [x, y].map(|at| i128::from(at) * i128::from(at));
        (a * y + b * x - a * b).abs()
    }
}

impl Iterator for Quarter {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<Self::Item> {
        let [x, y] = self.at?;
        self.at = ([x, y] != self.end).then(|| {
            let mut best = [x, y + 2];
            if x > 1 {
                for other in [[x - 2, y + 2], [x - 2, y]] {
                    if self.distance(best) > self.distance(other) {
                        best = other;
                    }
                }
            }
            best
        });
        Some((x, y))
    }
}

/// What lies on one side of a line: `a x + b y >= 0`.
#[derive(Clone, Copy)]
struct HalfPlane {
    a: f64,
    b: f64,
}

/// The part of an ellipse between two angles.
struct Slice {
    sides: [HalfPlane; 2],
    /// Whether it is what lies on the right side of both, not of either.
    both: bool,
    /// Keeps narrow slices from having a second half on the other side of the centre.
    spike: Option<HalfPlane>,
}

/// A stretch of a row, if there is one.
type Stretch = Option<(i64, i64)>;

impl Slice {
    fn of(ellipse: &Ellipse, start: f32, end: f32) -> Self {
        let radians = |angle: f32| f64::from(angle) * std::f64::consts::PI / 180.0;
        let (a, b) = (ellipse.width as f64, ellipse.height as f64);
        let (xl, xr) = (a * radians(start).cos(), a * radians(end).cos());
        let (yl, yr) = (b * radians(start).sin(), b * radians(end).sin());
        let middle = HalfPlane { a: (xl + xr) / 2.0, b: (yl + yr) / 2.0 };
        Self {
            sides: [HalfPlane { a: -yl, b: xl }, HalfPlane { a: yr, b: -xr }],
            both: end - start < 180.0,
            spike: (end - start < 90.0).then_some(middle),
        }
    }

    fn clip(&self, y: i64, left: i64, right: i64) -> [Stretch; 2] {
        let [first, second] = self.sides.map(|side| side.clip(y, left, right));
        if !self.both {
            return [first, second];
        }
        let spike = self.spike.map_or(Some((left, right)), |side| side.clip(y, left, right));
        [common(common(first, second), spike), None]
    }
}

fn common(one: Stretch, other: Stretch) -> Stretch {
    let ((left, right), (from, to)) = (one?, other?);
    let (left, right) = (left.max(from), right.min(to));
    (left <= right).then_some((left, right))
}

impl HalfPlane {
    fn clip(self, y: i64, left: i64, right: i64) -> Stretch {
        const NEARLY: f64 = 1e-9;
        let Self { a, b } = self;
        let (mut left, mut right) = (left, right);
        let down = b * y as f64;
        if a.abs() < NEARLY {
            return (down >= -NEARLY).then_some((left, right));
        }
        let crossing = -down / a;
        let value = |x: i64| a * x as f64 + down;
        if value(left) < NEARLY {
            left = (left as f64).max(crossing).round() as i64;
        }
        if value(right) < NEARLY {
            right = (right as f64).min(crossing).round() as i64;
        }
        (left <= right).then_some((left, right))
    }
}
