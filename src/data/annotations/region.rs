//! Pixels of an image, as annotation files describe them.

use super::canvas::Canvas;
use super::coco_polygon::{self, on_grid};
use super::flaw::{FARTHEST, Flaw};
use super::open_cv;
use super::pillow::{ellipse, line, polygon};
use super::runs::Runs;

/// The width of Labelme's lines, in pixels.
const LINE_WIDTH: i32 = 10;

/// The radius of Labelme's points, in pixels.
const POINT_RADIUS: f64 = 5.0;

/// Pixels of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Region(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Polygons with corners on pycocotools' grid, united.
    Coco(Vec<Vec<[i32; 2]>>),
    /// Run lengths, and the column and the row of their first pixel.
    Runs(Runs, (i64, i64)),
    Polygon(Vec<[i32; 2]>),
    Rectangle([[i32; 2]; 2]),
    Ellipse([[i32; 2]; 2]),
    Line(Vec<[f64; 2]>),
    OpenCv(Vec<[i32; 2]>),
}

impl Region {
    /// Polygons as pycocotools rasterises them, united. Each is a list of x, y, x, y, ... in pixels; 0 is the left end
    /// of the first.
    ///
    /// # Errors
    ///
    /// When a polygon has no pairs of coordinates or fewer than three, or a coordinate is not finite or too far away.
    pub fn coco(polygons: &[Vec<f64>]) -> Result<Self, Flaw> {
        let corners = |polygon: &Vec<f64>| {
            let (pairs, rest) = polygon.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(Flaw::Odd(polygon.len()));
            }
            at_least(3, "polygon", "three or more points", pairs)?;
            pairs.iter().map(|pair| Ok([on_grid(checked(pair[0])?), on_grid(checked(pair[1])?)])).collect()
        };
        Ok(Self(Kind::Coco(polygons.iter().map(corners).collect::<Result<_, _>>()?)))
    }

    /// Polygons with corners on pycocotools' grid, which were checked before.
    pub(super) fn on_grid(polygons: Vec<Vec<[i32; 2]>>) -> Self {
        Self(Kind::Coco(polygons))
    }

    /// Run lengths.
    pub fn runs(runs: Runs) -> Self {
        Self(Kind::Runs(runs, (0, 0)))
    }

    /// Run lengths of a part of the image, which begins at a column and a row.
    pub(super) fn runs_at(runs: Runs, at: (i64, i64)) -> Self {
        Self(Kind::Runs(runs, at))
    }

    /// A polygon as Pillow fills it.
    ///
    /// # Errors
    ///
    /// When there are fewer than three points, or a coordinate is not finite or too far away.
    pub fn polygon(points: &[[f64; 2]]) -> Result<Self, Flaw> {
        at_least(3, "polygon", "three or more points", points)?;
        Ok(Self(Kind::Polygon(corners(points)?)))
    }

    /// A rectangle between two opposite corners as Pillow fills it.
    ///
    /// # Errors
    ///
    /// When there are not two points, or a coordinate is not finite or too far away.
    pub fn rectangle(points: &[[f64; 2]]) -> Result<Self, Flaw> {
        let &[[x0, y0], [x1, y1]] = points else { return Err(wrong("rectangle", "two points", points)) };
        Ok(Self(Kind::Rectangle([corner([x0.min(x1), y0.min(y1)])?, corner([x0.max(x1), y0.max(y1)])?])))
    }

    /// A circle as Pillow fills it: its centre and a point of its outline.
    ///
    /// # Errors
    ///
    /// When there are not two points, or a coordinate is not finite or too far away.
    pub fn circle(points: &[[f64; 2]]) -> Result<Self, Flaw> {
        let &[[x, y], [at_x, at_y]] = points else { return Err(wrong("circle", "two points", points)) };
        corners(points)?;
        Self::disc([x, y], ((x - at_x) * (x - at_x) + (y - at_y) * (y - at_y)).sqrt())
    }

    /// A point as Labelme draws it: a disc of radius 5.
    ///
    /// # Errors
    ///
    /// When there is not one point, or a coordinate is not finite or too far away.
    pub fn point(points: &[[f64; 2]]) -> Result<Self, Flaw> {
        let &[centre] = points else { return Err(wrong("point", "one point", points)) };
        Self::disc(centre, POINT_RADIUS)
    }

    fn disc([x, y]: [f64; 2], radius: f64) -> Result<Self, Flaw> {
        Ok(Self(Kind::Ellipse([corner([x - radius, y - radius])?, corner([x + radius, y + radius])?])))
    }

    /// A line through points as Labelme draws it with Pillow: ten pixels wide, its corners rounded.
    ///
    /// # Errors
    ///
    /// When there are fewer than two points, or a coordinate is not finite or too far away.
    pub fn line(points: &[[f64; 2]]) -> Result<Self, Flaw> {
        at_least(2, "line", "two or more points", points)?;
        corners(points)?;
        Ok(Self(Kind::Line(points.to_vec())))
    }

    /// A polygon as OpenCV's `fillPoly` fills it.
    ///
    /// # Errors
    ///
    /// When there are fewer than three points, or a coordinate is not finite or too far away.
    pub fn open_cv(points: &[[f64; 2]]) -> Result<Self, Flaw> {
        at_least(3, "polygon", "three or more points", points)?;
        Ok(Self(Kind::OpenCv(corners(points)?)))
    }

    pub(super) fn fill(&self, canvas: &mut Canvas) {
        match &self.0 {
            Kind::Coco(parts) => parts.iter().for_each(|part| coco_polygon::fill(part, canvas)),
            Kind::Runs(runs, at) => runs.fill(*at, canvas),
            Kind::Polygon(corners) => polygon::fill(corners, canvas),
            Kind::Rectangle([first, last]) => polygon::fill_rectangle(*first, *last, canvas),
            Kind::Ellipse([first, last]) => ellipse::fill(*first, *last, canvas),
            Kind::Line(points) => line::fill(points, LINE_WIDTH, true, canvas),
            Kind::OpenCv(corners) => open_cv::fill(corners, canvas),
        }
    }

    /// Whether a part of it may lie outside a picture of this size, as its corners tell.
    pub(super) fn leaves(&self, size: (usize, usize)) -> bool {
        let outside = |at: i64, count: usize| at < 0 || at > count as i64;
        let corner = |[x, y]: &[i32; 2]| outside(i64::from(*x), size.0) || outside(i64::from(*y), size.1);
        match &self.0 {
            Kind::Coco(parts) => parts.iter().flatten().any(|at| coco_polygon::is_outside(*at, size)),
            Kind::Runs(runs, (x, y)) => {
                let (width, height) = runs.size();
                outside(*x, size.0)
                    || outside(*y, size.1)
                    || outside(x + width as i64, size.0)
                    || outside(y + height as i64, size.1)
            }
            Kind::Polygon(corners) | Kind::OpenCv(corners) => corners.iter().any(corner),
            Kind::Rectangle(corners) | Kind::Ellipse(corners) => corners.iter().any(corner),
            Kind::Line(points) => {
                points.iter().any(|[x, y]| outside(x.floor() as i64, size.0) || outside(y.floor() as i64, size.1))
            }
        }
    }
}

/// A coordinate that can be computed with.
pub(super) fn checked(coordinate: f64) -> Result<f64, Flaw> {
    match coordinate {
        far if far.abs() > FARTHEST && far.is_finite() => Err(Flaw::TooFar(far)),
        other if other.is_finite() => Ok(other),
        _ => Err(Flaw::NotANumber),
    }
}

/// A point without its fraction.
fn corner(point: [f64; 2]) -> Result<[i32; 2], Flaw> {
    Ok([checked(point[0])? as i32, checked(point[1])? as i32])
}

fn corners(points: &[[f64; 2]]) -> Result<Vec<[i32; 2]>, Flaw> {
    points.iter().map(|point| corner(*point)).collect()
}

fn at_least(count: usize, shape: &'static str, needs: &'static str, points: &[[f64; 2]]) -> Result<(), Flaw> {
    if points.len() < count { Err(wrong(shape, needs, points)) } else { Ok(()) }
}

fn wrong(shape: &'static str, needs: &'static str, points: &[[f64; 2]]) -> Flaw {
    Flaw::Points { shape, needs, found: points.len() }
}
