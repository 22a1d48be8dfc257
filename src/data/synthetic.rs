//! Generated scenes for a first training run: nothing to download, and hard enough that learning them means something.
//!
//! A scene is a textured background under uneven light, one or two smooth irregular blobs (what the mask holds), and
//! distractors that belong to the background: bars, small rectangles, strokes and specular spots. About half of the
//! scenes are camouflaged: the blob wears the background's own colours and differs by the grain or the direction of its
//! texture, by a slight shift of brightness and by the shading of a rounded body. In the others it has colours of its
//! own, at about the background's brightness. So neither a threshold on grey nor a guess at the middle gets far.
//!
//! A scene depends on the set's seed, its index and its side only, and is drawn in units of the side: the same index
//! shows the same scene at any side, in finer or coarser pixels.

use std::f32::consts::{PI, TAU};

use super::dataset::Dataset;
use super::error::DataError;
use super::pixels::{Grey, Rgb};
use super::random::Draws;
use super::truth::Truth;

/// A [`Dataset`] of generated scenes.
#[derive(Clone, Debug)]
pub struct Synthetic {
    seed: u64,
    side: usize,
    names: Vec<String>,
}

impl Synthetic {
    /// `count` scenes of `side` x `side` pixels, each with a name in memory. Sets of different seeds share no scene.
    pub fn new(seed: u64, count: usize, side: usize) -> Self {
        let names = (0..count).map(|index| format!("scene-{index:05}")).collect();
        Self { seed, side, names }
    }

    fn scene(&self, index: usize) -> Scene {
        Scene::draw(&mut Draws::new(&[SCENES, self.seed, index as u64]))
    }
}

/// Keeps these draws apart from other uses of an equal seed.
const SCENES: u64 = 3;

impl Dataset for Synthetic {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        Ok(self.scene(index).paint(self.side).0)
    }

    fn truth(&self, index: usize) -> Result<Truth, DataError> {
        Ok(self.scene(index).paint(self.side).1.into())
    }

    fn pair(&self, index: usize) -> Result<(Rgb, Truth), DataError> {
        let (image, mask) = self.scene(index).paint(self.side);
        Ok((image, mask.into()))
    }
}

// ----------------------------------------------------------------------------------------------------------- a scene

/// Red, green, blue, about 0..=1.
pub(super) type Colour = [f32; 3];

/// All that a scene shows; lengths in units of the side, positions from the top left corner.
struct Scene {
    background: Surface,
    /// Direction and strength of the light's slope.
    light: ([f32; 2], f32),
    behind: Vec<Distractor>,
    blobs: Vec<Blob>,
    spots: Vec<Spot>,
}

impl Scene {
    fn draw(draws: &mut Draws) -> Self {
        let background = Surface { texture: Texture::draw(draws), palette: Palette::draw(draws) };
        let camouflaged = draws.chance(0.5);
        let light = (unit_vector(draws.between(0.0, TAU)), draws.between(0.15, 0.5));
        let surface = if camouflaged {
            Surface { texture: background.texture.unlike(draws), palette: background.palette.shifted(draws) }
        } else {
            Surface { texture: Texture::draw(draws), palette: background.palette.contrasting(draws) }
        };
        let count = if draws.chance(0.25) { 2 } else { 1 };
        let blobs = (0..count).map(|_| Blob::draw(draws, surface.clone(), count)).collect();
        let behind = (0..1 + draws.below(4)).map(|_| Distractor::draw(draws, &background.palette)).collect();
        let spots = (0..draws.below(4)).map(|_| Spot::draw(draws)).collect();
        Self { background, light, behind, blobs, spots }
    }

    /// The scene in `side` x `side` pixels, and the blobs' coverage in 0..=255.
    fn paint(&self, side: usize) -> (Rgb, Grey) {
        paint(side, |at, pixel| {
            let (colour, covered) = self.look(at, pixel);
            (colour, (covered * 255.0 + 0.5) as u8)
        })
    }

    /// Colour and the blobs' coverage at a point, for pixels of this width.
    fn look(&self, at: [f32; 2], pixel: f32) -> (Colour, f32) {
        let mut colour = self.background.colour(at);
        for distractor in &self.behind {
            colour = blend(colour, distractor.colour, distractor.shape.coverage(at, pixel));
        }
        let mut covered = 0.0f32;
        for blob in &self.blobs {
            let depth = blob.depth(at);
            let coverage = (depth / pixel + 0.5).clamp(0.0, 1.0);
            // what lies around is in its shadow, up to the outline
            colour = scale(colour, 1.0 - 0.5 * (1.0 + depth.min(0.0) / SHADOW).clamp(0.0, 1.0));
            colour = blend(colour, blob.colour(at, depth), coverage);
            covered = covered.max(coverage);
        }
        let (direction, slope) = self.light;
        let along = (at[0] - 0.5) * direction[0] + (at[1] - 0.5) * direction[1];
        let mut lit = scale(colour, 1.0 + slope * 1.4 * along);
        for spot in &self.spots {
            lit = blend(lit, [1.0, 1.0, 0.96], spot.strength(at));
        }
        (lit, covered)
    }
}

pub(super) fn unit_vector(angle: f32) -> [f32; 2] {
    [angle.cos(), angle.sin()]
}

/// A point's coordinates about a centre: along this unit vector, and across it.
fn relative(at: [f32; 2], centre: [f32; 2], along: [f32; 2]) -> [f32; 2] {
    let (dx, dy) = (at[0] - centre[0], at[1] - centre[1]);
    [dx * along[0] + dy * along[1], dy * along[0] - dx * along[1]]
}

/// A picture of `side` x `side` pixels and its map, by what a scene shows at a point of the unit square, for pixels of a width.
pub(super) fn paint(side: usize, look: impl Fn([f32; 2], f32) -> (Colour, u8)) -> (Rgb, Grey) {
    let mut image = Rgb::filled(side, side, [0; 3]);
    let mut map = Grey::filled(side, side, [0]);
    let pixel = 1.0 / side.max(1) as f32;
    for y in 0..side {
        for x in 0..side {
            let (colour, level) = look([(x as f32 + 0.5) * pixel, (y as f32 + 0.5) * pixel], pixel);
            image.set(x, y, colour.map(|v| (v * 255.0 + 0.5) as u8));
            map.set(x, y, [level]);
        }
    }
    (image, map)
}

pub(super) fn blend(under: Colour, over: Colour, weight: f32) -> Colour {
    std::array::from_fn(|c| under[c] + (over[c] - under[c]) * weight)
}

fn scale(colour: Colour, factor: f32) -> Colour {
    colour.map(|v| v * factor)
}

/// A texture in a palette's colours.
#[derive(Clone)]
struct Surface {
    texture: Texture,
    palette: Palette,
}

impl Surface {
    fn colour(&self, at: [f32; 2]) -> Colour {
        self.palette.colour(self.texture.value(at))
    }
}

// ----------------------------------------------------------------------------------------------------------- colours

/// Dark, middle and light, between which a texture's value runs.
#[derive(Clone)]
struct Palette {
    /// In turns, 0..1.
    hue: f32,
    saturation: f32,
    /// Of the middle colour.
    brightness: f32,
    /// How much darker and lighter the ends are.
    contrast: f32,
    /// How far the ends' hues lean to either side.
    spread: f32,
}

impl Palette {
    fn draw(draws: &mut Draws) -> Self {
        Self {
            hue: draws.unit(),
            saturation: draws.between(0.2, 0.65),
            brightness: draws.between(0.4, 0.6),
            contrast: draws.between(0.16, 0.28),
            spread: draws.between(0.0, 0.06),
        }
    }

    /// The same colours, very slightly brighter or darker: for camouflage.
    fn shifted(&self, draws: &mut Draws) -> Self {
        let shift = draws.between(0.02, 0.06) * if draws.chance(0.5) { 1.0 } else { -1.0 };
        Self { brightness: self.brightness + shift, ..self.clone() }
    }

    /// Colours of another hue at about the same brightness: for a blob that stands out.
    fn contrasting(&self, draws: &mut Draws) -> Self {
        Self {
            hue: self.hue + draws.between(0.25, 0.75),
            saturation: draws.between(0.5, 0.8),
            brightness: self.brightness + draws.between(-0.1, 0.1),
            contrast: draws.between(0.1, 0.2),
            spread: draws.between(0.0, 0.06),
        }
    }

    fn colour(&self, value: f32) -> Colour {
        let off = 2.0 * value - 1.0;
        from_hue(self.hue + self.spread * off, self.saturation, self.brightness + self.contrast * off)
    }
}

/// A colour of this hue whose luma is about `brightness`, whatever the hue.
fn from_hue(hue: f32, saturation: f32, brightness: f32) -> Colour {
    let wave = |shift: f32| 0.5 + 0.5 * (TAU * (hue + shift)).cos();
    let pure = [wave(0.0), wave(-1.0 / 3.0), wave(1.0 / 3.0)];
    let luma = 0.299 * pure[0] + 0.587 * pure[1] + 0.114 * pure[2];
    pure.map(|v| brightness * (1.0 + saturation * (v - luma)))
}

// ---------------------------------------------------------------------------------------------------------- textures

/// What a texture is made of.
#[derive(Clone, Copy, PartialEq)]
enum Grain {
    /// Noise of several octaves, the same in all directions.
    Clouds,
    /// Wavy bands.
    Stripes,
    /// Round dots on a plain ground.
    Dots,
}

/// A field of values in 0..=1 over the plane.
#[derive(Clone)]
struct Texture {
    grain: Grain,
    /// Features along a side.
    cells: f32,
    /// Across the stripes, a unit vector.
    across: [f32; 2],
    angle: f32,
    seed: u32,
}

/// Features along a side that count as coarse and as fine; at 128 pixels a fine one is 4 to 6 pixels wide.
const COARSE: (f32, f32) = (4.0, 7.0);
const FINE: (f32, f32) = (20.0, 30.0);

impl Texture {
    fn draw(draws: &mut Draws) -> Self {
        let (low, high) = if draws.chance(0.5) { COARSE } else { FINE };
        let grain = *draws.pick(&[Grain::Clouds, Grain::Stripes, Grain::Dots]);
        let (cells, angle) = (draws.between(low, high), draws.between(0.0, PI));
        Self::new(grain, cells, angle, draws)
    }

    fn new(grain: Grain, cells: f32, angle: f32, draws: &mut Draws) -> Self {
        Self { grain, cells, across: unit_vector(angle), angle, seed: draws.bits() as u32 }
    }

    /// A texture that an eye tells from this one: of the other scale, and if both are stripes also turned by 50 to
    /// 90 degrees.
    fn unlike(&self, draws: &mut Draws) -> Self {
        let (low, high) = if self.cells < FINE.0 { FINE } else { COARSE };
        let grain = *draws.pick(&[Grain::Clouds, Grain::Stripes, Grain::Dots]);
        let turn = draws.between(5.0 / 18.0 * PI, PI / 2.0);
        Self::new(grain, draws.between(low, high), self.angle + turn, draws)
    }

    fn value(&self, at: [f32; 2]) -> f32 {
        let [x, y] = at.map(|v| v * self.cells);
        match self.grain {
            Grain::Clouds => {
                let sum = noise(x, y, self.seed)
                    + 0.5 * noise(2.0 * x, 2.0 * y, self.seed ^ 1)
                    + 0.25 * noise(4.0 * x, 4.0 * y, self.seed ^ 2);
                // the mean of octaves crowds around the middle: spread it again
                ((sum / 1.75 - 0.5) * 1.8 + 0.5).clamp(0.0, 1.0)
            }
            Grain::Stripes => {
                let bend = 0.6 * noise(at[0] * 4.0, at[1] * 4.0, self.seed);
                let phase = (x * self.across[0] + y * self.across[1]) * 0.8 + bend;
                0.5 + 0.5 * (TAU * phase).sin()
            }
            Grain::Dots => {
                let (column, row) = (x as i32, y as i32);
                let (right, down) = (hash(column, row, self.seed), hash(column, row, !self.seed));
                let dx = x - column as f32 - 0.3 - 0.4 * right;
                let dy = y - row as f32 - 0.3 - 0.4 * down;
                let inside = 1.0 - (dx * dx + dy * dy) / 0.1;
                let ground = 0.25 + 0.3 * noise(at[0] * 5.0, at[1] * 5.0, self.seed ^ 4);
                ground + (1.0 - ground) * (2.0 * inside).clamp(0.0, 1.0)
            }
        }
    }
}

/// Value noise: random numbers at whole coordinates, smoothly interpolated; 0..1. For coordinates that are not
/// negative, so that truncation is the floor (which is a slow call on the oldest processors).
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (left, top) = (x as i32, y as i32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (along, down) = (ease(x - left as f32), ease(y - top as f32));
    let corner = |dx: i32, dy: i32| hash(left + dx, top + dy, seed);
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * along;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * along;
    upper + (lower - upper) * down
}

/// A random number in 0..1 of a whole coordinate (a finalizer of two multiply-and-shift rounds).
fn hash(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77) ^ seed;
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    ((h ^ (h >> 15)) >> 8) as f32 / (1u32 << 24) as f32
}

// ------------------------------------------------------------------------------------------------------------- blobs

/// How far a body's contact shadow reaches over the background.
const SHADOW: f32 = 0.04;

/// A smooth irregular body: a circle whose radius waves with the angle, then stretched and turned.
struct Blob {
    surface: Surface,
    centre: [f32; 2],
    radius: f32,
    /// Root of length over width, at equal area.
    stretch: f32,
    /// Along the length, a unit vector.
    along: [f32; 2],
    /// Amplitude and phase of 2, 3, 4 and 5 waves around.
    waves: [(f32, f32); 4],
}

impl Blob {
    fn draw(draws: &mut Draws, surface: Surface, of: usize) -> Self {
        let (smallest, largest) = if of == 1 { (0.18, 0.38) } else { (0.15, 0.26) };
        Self {
            surface,
            centre: [draws.between(0.12, 0.88), draws.between(0.12, 0.88)],
            radius: draws.between(smallest, largest),
            stretch: draws.between(1.0, 1.8).sqrt(),
            along: unit_vector(draws.between(0.0, PI)),
            waves: std::array::from_fn(|i| (draws.between(0.0, 0.22) / (i as f32 + 1.0), draws.between(0.0, TAU))),
        }
    }

    /// How far a point lies inside, in units of the side; negative outside. Exact at the outline, about right near it,
    /// beyond the shadow only a lower bound of the distance.
    fn depth(&self, at: [f32; 2]) -> f32 {
        let [along, across] = relative(at, self.centre, self.along);
        let (along, across) = (along / self.stretch, across * self.stretch);
        let distance = along.hypot(across);
        let farthest = self.radius * (1.0 + self.waves.iter().map(|(amplitude, _)| amplitude).sum::<f32>());
        if distance > farthest + SHADOW {
            return farthest - distance;
        }
        let angle = across.atan2(along);
        let waves = (2..).zip(&self.waves).map(|(k, (amplitude, phase))| amplitude * (k as f32 * angle + phase).cos());
        self.radius * (1.0 + waves.sum::<f32>()) - distance
    }

    /// The body's colour, shaded as a rounded thing is: darker toward its outline.
    fn colour(&self, at: [f32; 2], depth: f32) -> Colour {
        let rim = 1.0 - (depth / (0.6 * self.radius)).clamp(0.0, 1.0);
        scale(self.surface.colour(at), 1.12 - 0.55 * rim * rim)
    }
}

// ------------------------------------------------------------------------------------------------------- distractors

/// A flat thing that is part of the background.
struct Distractor {
    shape: Bar,
    colour: Colour,
}

/// A turned rectangle with hard edges.
struct Bar {
    centre: [f32; 2],
    /// Half of its length and width.
    half: [f32; 2],
    /// Along the length, a unit vector.
    along: [f32; 2],
}

impl Distractor {
    fn draw(draws: &mut Draws, background: &Palette) -> Self {
        // a long bar, a thin stroke or a small rectangle
        let (length, width) = *draws.pick(&[(0.5, 0.04), (0.8, 0.012), (0.1, 0.07)]);
        let size = draws.between(0.6, 1.2);
        let palette = if draws.chance(0.5) { background.contrasting(draws) } else { background.clone() };
        Self {
            shape: Bar {
                centre: [draws.unit(), draws.unit()],
                half: [length * size / 2.0, width * size / 2.0],
                along: unit_vector(draws.between(0.0, PI)),
            },
            colour: palette.colour(draws.unit()),
        }
    }
}

impl Bar {
    fn coverage(&self, at: [f32; 2], pixel: f32) -> f32 {
        let [along, across] = relative(at, self.centre, self.along);
        let inside = |offset: f32, half: f32| ((half - offset.abs()) / pixel + 0.5).clamp(0.0, 1.0);
        inside(along, self.half[0]) * inside(across, self.half[1])
    }
}

/// A specular highlight.
struct Spot {
    centre: [f32; 2],
    radius: f32,
}

impl Spot {
    fn draw(draws: &mut Draws) -> Self {
        Self { centre: [draws.unit(), draws.unit()], radius: draws.between(0.01, 0.03) }
    }

    fn strength(&self, at: [f32; 2]) -> f32 {
        let (dx, dy) = (at[0] - self.centre[0], at[1] - self.centre[1]);
        (-(dx * dx + dy * dy) / (self.radius * self.radius)).exp()
    }
}
