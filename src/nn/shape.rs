//! Resolutions, widths and classes as types, the layouts of images and maps, and what is checked of sizes known at run time.

use dfdx::prelude::*;
use std::marker::PhantomData;

/// The side of a square input image: a multiple of 32, as the encoder divides it by 4 and then
/// halves it three times, and the decoder doubles it back.
///
/// Every `Const<N>` with `N` a multiple of 32 from 64 to 1024 is one, checked by the compiler. `usize` is one too: a
/// side known at run time only, as the programs have it, checked when the image comes in. Another constant side is
/// a type of your own: a unit struct that implements dfdx's `Dim`, then `Side`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a valid input side",
    label = "the side must be a multiple of 32 from 64 to 1024",
    note = "the encoder divides the side by 4, 8, 16 and 32; 352 and 448 are the usual choices"
)]
pub trait Side: Dim {
    /// Side of the first stage's map.
    type Quarter: EvenSide<Half = Self::Eighth>;
    /// Side of the second stage's map.
    type Eighth: EvenSide<Half = Self::Sixteenth>;
    /// Side of the third stage's map.
    type Sixteenth: EvenSide<Half = Self::ThirtySecond>;
    /// Side of the fourth stage's map.
    type ThirtySecond: Dim;
}

/// The side of a map that can be halved: what a pooling block takes and a decoder step gives.
#[diagnostic::on_unimplemented(
    message = "a map of side `{Self}` cannot be halved",
    label = "this side is odd, or no valid input side leads to it"
)]
pub trait EvenSide: Dim {
    /// Half of it.
    type Half: Dim;
}

macro_rules! halves {
    ($($n:literal)*) => {$(
        impl EvenSide for Const<$n> {
            type Half = Const<{ $n / 2 }>;
        }
        const _: () = assert!($n % 2 == 0, concat!(stringify!($n), " is odd"));
    )*};
}

macro_rules! sides {
    ($($n:literal)*) => {
        $(
            impl Side for Const<$n> {
                type Quarter = Const<{ $n / 4 }>;
                type Eighth = Const<{ $n / 8 }>;
                type Sixteenth = Const<{ $n / 16 }>;
                type ThirtySecond = Const<{ $n / 32 }>;
            }
            const _: () = assert!($n % 32 == 0, concat!(stringify!($n), " is no multiple of 32"));
        )*
        /// Every side that is a [`Side`] as a constant, ascending: what images may have at run time.
        pub const SIDES: &[usize] = &[$($n),*];
    };
}

impl EvenSide for usize {
    type Half = usize;
}

impl Side for usize {
    type Quarter = usize;
    type Eighth = usize;
    type Sixteenth = usize;
    type ThirtySecond = usize;
}

// The quarters, eighths and sixteenths of the sides below.
halves! {
    4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 34 36 38 40 42 44 46 48 50 52 54 56 58 60 62 64
    68 72 76 80 84 88 92 96 100 104 108 112 116 120 124 128
    136 144 152 160 168 176 184 192 200 208 216 224 232 240 248 256
}

sides! {
    64 96 128 160 192 224 256 288 320 352 384 416 448 480 512 544 576 608 640 672 704 736 768
    800 832 864 896 928 960 992 1024
}

macro_rules! computed {
    ($($(#[$doc:meta])* $Name:ident: |$k:ident, $n:ident| $size:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name<const K: usize, C>(PhantomData<C>);

        impl<const $k: usize, C: ConstDim> Dim for $Name<$k, C> {
            fn size(&self) -> usize {
                Self::SIZE
            }
            fn from_size(size: usize) -> Option<Self> {
                (size == Self::SIZE).then(Self::default)
            }
        }

        impl<const $k: usize, C: ConstDim> ConstDim for $Name<$k, C> {
            const SIZE: usize = {
                let $n = C::SIZE;
                $size
            };
        }
    )*};
}

computed! {
    /// `K * C` as a dimension. (A variant's channel count is a type, and stable Rust computes no
    /// `Const` from it.)
    Times: |K, c| K * c;
    /// `K + C` as a dimension.
    Plus: |K, c| K + c;
}

/// `(B, 3, S, S)`: a batch of normalised images, channels first as in the paper's code.
pub type Image<B, S, D, T = NoneTape> = Tensor<(B, Const<3>, S, S), f32, D, T>;
/// `(B, H, H, C)`: a feature map, channels last.
pub type Map<B, H, C, D, T = NoneTape> = Tensor<(B, H, H, C), f32, D, T>;
/// `(B, K, S, S)`: logits, or masks in `0..=1`, of `K` classes at the image's resolution.
pub type Masks<B, S, K, D, T = NoneTape> = Tensor<(B, K, S, S), f32, D, T>;
/// `(B, S, S)`: one number for each pixel, at the image's resolution.
pub type PixelMaps<B, S, D> = Tensor<(B, S, S), f32, D>;

/// The number of classes of a model: `Const<3>`, checked by the compiler, or `usize`, known at run time as programs have it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no number of classes",
    label = "use `Const<1>`, `Const<3>`, ... or, for a number known at run time, `usize`"
)]
pub trait Classes: Dim {
    /// The number, where the type says it.
    const FIXED: Option<usize>;

    /// `count` classes of this type, if it allows as many.
    fn of(count: usize) -> Option<Self> {
        Self::from_size(count).filter(|_| count > 0)
    }
}

impl<const K: usize> Classes for Const<K> {
    const FIXED: Option<usize> = {
        assert!(K > 0, "a model must have a class");
        Some(K)
    };
}

impl Classes for usize {
    const FIXED: Option<usize> = None;
}

/// Why images or maps of sizes known at run time were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// There is nothing to compute.
    #[error("an empty batch: there must be an image")]
    EmptyBatch,
    /// Height and width differ.
    #[error("height and width must be equal, and are {height} x {width}")]
    NotSquare {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The encoder cannot divide an image of this side.
    #[error("an image's side must be a multiple of 32 from 64 on, not {side}")]
    ImageSide {
        /// Pixels to a side.
        side: usize,
    },
    /// Programs take other sides.
    #[error("side {side} is none of the supported ones, the multiples of 32 from {least} to {most}")]
    Unsupported {
        /// What was asked for.
        side: usize,
        /// Smallest supported.
        least: usize,
        /// Largest supported.
        most: usize,
    },
}

/// Checks that the batch is not empty and the maps are square.
///
/// # Errors
/// [`ShapeError::EmptyBatch`], [`ShapeError::NotSquare`].
pub fn check_map(batch: usize, height: usize, width: usize) -> Result<(), ShapeError> {
    match (batch, height == width) {
        (0, _) => Err(ShapeError::EmptyBatch),
        (_, false) => Err(ShapeError::NotSquare { height, width }),
        _ => Ok(()),
    }
}

/// Checks that the batch is not empty and the images are square with a side that is a multiple of 32, from 64 on.
///
/// # Errors
/// As [`check_map`], and [`ShapeError::ImageSide`].
pub fn check_image(batch: usize, height: usize, width: usize) -> Result<(), ShapeError> {
    check_map(batch, height, width)?;
    if height >= 64 && height.is_multiple_of(32) { Ok(()) } else { Err(ShapeError::ImageSide { side: height }) }
}

/// Checks that programs take images of this side: one of [`SIDES`].
///
/// # Errors
/// [`ShapeError::Unsupported`].
pub fn check_side(side: usize) -> Result<(), ShapeError> {
    match SIDES.contains(&side) {
        true => Ok(()),
        false => Err(ShapeError::Unsupported { side, least: SIDES[0], most: SIDES[SIDES.len() - 1] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_multiple_of_32_is_a_side() {
        assert_eq!(SIDES.len(), 31);
        for n in 0..1100 {
            assert_eq!(SIDES.contains(&n), n % 32 == 0 && (64..=1024).contains(&n));
        }
    }

    #[test]
    fn sizes_known_at_run_time_are_looked_at() {
        assert_eq!(check_image(1, 64, 64), Ok(()));
        assert_eq!(check_image(0, 64, 64), Err(ShapeError::EmptyBatch));
        assert_eq!(check_image(1, 64, 128), Err(ShapeError::NotSquare { height: 64, width: 128 }));
        assert_eq!(check_image(1, 63, 63), Err(ShapeError::ImageSide { side: 63 }));
        assert_eq!(check_image(1, 32, 32), Err(ShapeError::ImageSide { side: 32 }));
        assert_eq!(check_map(1, 3, 3), Ok(()));
        assert_eq!(check_side(352), Ok(()));
        assert_eq!(check_side(1056), Err(ShapeError::Unsupported { side: 1056, least: 64, most: 1024 }));
    }

    #[test]
    fn classes_are_a_type_or_a_number() {
        assert_eq!(<Const<3> as Classes>::of(3), Some(Const));
        assert_eq!(<Const<3> as Classes>::of(2), None);
        assert_eq!(<usize as Classes>::of(2), Some(2));
        assert_eq!(<usize as Classes>::of(0), None);
    }

    #[test]
    fn computed_dimensions() {
        type Three = Times<3, Const<144>>;
        assert_eq!(Three::SIZE, 432);
        assert_eq!(Three::from_size(432), Some(Three::default()));
        assert_eq!(Three::from_size(431), None);
        assert_eq!(<Plus<1, Const<8>> as ConstDim>::SIZE, 9);
    }
}
