//! Generated scenes of several classes: circles, squares and triangles, which their shape alone tells apart.
//!
//! Colours, sizes, turns and places are drawn alike for all three, and all have the same area at the same size. So neither a colour nor
//! a brightness says what a thing is, and a model must see outlines. Squares and triangles stand on a side, turned a little.
//!
//! A scene depends on the set's seed, its index and its side only, and is drawn in units of the side: the same index shows the same
//! scene at any side, in finer or coarser pixels.

use std::f32::consts::{PI, TAU};

use super::classes::class::{Class, ClassKind, Classes};
use super::dataset::Dataset;
use super::error::DataError;
use super::pixels::{Grey, Rgb};
use super::random::Draws;
use super::synthetic::{Colour, blend, paint, unit_vector};
use super::truth::Truth;

/// A [`Dataset`] of scenes with circles, squares and triangles.
#[derive(Clone, Debug)]
pub struct Shapes {
    seed: u64,
    side: usize,
    names: Vec<String>,
    classes: Classes,
}

/// Keeps these draws apart from other uses of an equal seed.
const SHAPES: u64 = 4;

/// The classes, and what they are drawn in.
const CLASSES: [(&str, [u8; 3]); 4] =
    [("background", [0, 0, 0]), ("circle", [230, 75, 53]), ("square", [60, 145, 230]), ("triangle", [250, 190, 40])];

impl Shapes {
    /// `count` scenes of `side` x `side` pixels, each with a name in memory. Sets of different seeds share no scene.
    ///
    /// # Panics
    /// Never: the classes are valid.
    pub fn new(seed: u64, count: usize, side: usize) -> Self {
        let names = (0..count).map(|index| format!("shapes-{index:05}")).collect();
        let class = |(name, colour): (&str, [u8; 3])| Class { name: name.to_string(), colour };
        let classes = Classes::new(ClassKind::Exclusive, CLASSES.map(class).to_vec());
        Self { seed, side, names, classes: classes.expect("four classes of different names") }
    }

    fn scene(&self, index: usize) -> Scene {
        Scene::draw(&mut Draws::new(&[SHAPES, self.seed, index as u64]))
    }
}

impl Dataset for Shapes {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn classes(&self) -> Option<&Classes> {
        Some(&self.classes)
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        Ok(self.scene(index).paint(self.side).0)
    }

    fn truth(&self, index: usize) -> Result<Truth, DataError> {
        Ok(Truth::Index(self.scene(index).paint(self.side).1))
    }

    fn pair(&self, index: usize) -> Result<(Rgb, Truth), DataError> {
        let (image, map) = self.scene(index).paint(self.side);
        Ok((image, Truth::Index(map)))
    }
}

/// All that a scene shows; lengths in units of the side, positions from the top left corner.
struct Scene {
    ground: Ground,
    things: Vec<Thing>,
}

/// An uneven background.
struct Ground {
    colour: Colour,
    /// Direction and strength of the light's slope.
    light: ([f32; 2], f32),
    /// Waves: direction, how many to the side, phase, height.
    waves: [([f32; 2], f32, f32, f32); 3],
}

/// A circle, a square or a triangle.
struct Thing {
    class: u8,
    centre: [f32; 2],
    /// Of the circle of equal area.
    radius: f32,
    /// A unit vector.
    along: [f32; 2],
    colour: Colour,
}

impl Scene {
    fn draw(draws: &mut Draws) -> Self {
        let ground = Ground::draw(draws);
        let mut things: Vec<Thing> = Vec::new();
        let wanted = 2 + draws.below(3);
        // some places are taken; a scene that is full stays as it is
        for _ in 0..8 * wanted {
            if things.len() == wanted {
                break;
            }
            let thing = Thing::draw(draws);
            let apart = |other: &Thing| {
                let (dx, dy) = (other.centre[0] - thing.centre[0], other.centre[1] - thing.centre[1]);
                dx.hypot(dy) > 1.35 * (other.radius + thing.radius)
            };
            if things.iter().all(apart) {
                things.push(thing);
            }
        }
        Self { ground, things }
    }

    /// The scene in `side` x `side` pixels, and the class of each.
    fn paint(&self, side: usize) -> (Rgb, Grey) {
        paint(side, |at, pixel| {
            let mut colour = self.ground.colour_at(at);
            let mut class = 0;
            for thing in &self.things {
                let depth = thing.depth(at);
                let covered = (depth / pixel + 0.5).clamp(0.0, 1.0);
                colour = blend(colour, thing.colour, covered);
                if depth > 0.0 {
                    class = thing.class;
                }
            }
            let lit = self.ground.light_at(at);
            (colour.map(|v| v * lit), class)
        })
    }
}

fn colour(draws: &mut Draws, low: f32, high: f32) -> Colour {
    std::array::from_fn(|_| draws.between(low, high))
}

/// How far squares and triangles are turned from standing on a side, in radians.
const MOST_TURNED: f32 = 0.35;

impl Ground {
    fn draw(draws: &mut Draws) -> Self {
        let mut wave = || {
            let direction = unit_vector(draws.between(0.0, TAU));
            (direction, draws.between(1.0, 12.0), draws.between(0.0, TAU), draws.between(0.01, 0.05))
        };
        let waves = [wave(), wave(), wave()];
        let light = (unit_vector(draws.between(0.0, TAU)), draws.between(0.1, 0.4));
        Self { colour: colour(draws, 0.1, 0.45), light, waves }
    }

    fn colour_at(&self, at: [f32; 2]) -> Colour {
        let height = |&(direction, count, phase, height): &([f32; 2], f32, f32, f32)| {
            height * (TAU * count * (at[0] * direction[0] + at[1] * direction[1]) + phase).sin()
        };
        let height: f32 = self.waves.iter().map(height).sum();
        self.colour.map(|v| (v + height).clamp(0.0, 1.0))
    }

    fn light_at(&self, at: [f32; 2]) -> f32 {
        let (direction, slope) = self.light;
        1.0 + slope * ((at[0] - 0.5) * direction[0] + (at[1] - 0.5) * direction[1]) - 0.5 * slope
    }
}

impl Thing {
    fn draw(draws: &mut Draws) -> Self {
        let class = 1 + draws.below(CLASSES.len() - 1) as u8;
        let radius = draws.between(0.11, 0.18);
        let edge = 1.2 * radius;
        let centre = [draws.between(edge, 1.0 - edge), draws.between(edge, 1.0 - edge)];
        let along = unit_vector(draws.between(-MOST_TURNED, MOST_TURNED));
        Self { class, centre, radius, along, colour: colour(draws, 0.55, 1.0) }
    }

    /// How far a point lies inside, in units of the side; negative outside.
    fn depth(&self, at: [f32; 2]) -> f32 {
        let (dx, dy) = (at[0] - self.centre[0], at[1] - self.centre[1]);
        let (x, y) = (dx * self.along[0] + dy * self.along[1], dx * self.along[1] - dy * self.along[0]);
        match self.class {
            1 => self.radius - x.hypot(y),
            // of equal area: half a side of sqrt(pi) / 2 radii
            2 => 0.5 * PI.sqrt() * self.radius - x.abs().max(y.abs()),
            _ => {
                // of equal area: an inscribed circle of sqrt(pi / (3 sqrt 3)) radii
                let inner = (PI / 27f32.sqrt()).sqrt() * self.radius;
                let (half, root) = (0.5, 0.75f32.sqrt());
                // the side that it stands on is below
                let outside = (-y).max(root * x + half * y).max(half * y - root * x);
                inner - outside
            }
        }
    }
}
