//! Hiera's sizes as types.

use crate::choice::{Choice, text_of_choice};
use crate::kernels::adapted_block::AttentionConfig;
use dfdx::shapes::ConstDim;
use std::fmt::Debug;

/// A size of the encoder (Hiera as configured by SAM2, arXiv 2408.00714). Declare your own with
/// [`variant!`](crate::variant).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Hiera variant",
    label = "declare it with `variant!` or use `Tiny`, `Small`, `BasePlus`, `Large`"
)]
pub trait Variant: Copy + Debug + Default + Send + Sync + 'static {
    /// Channels of stage 1.
    type C1: ConstDim;
    /// Channels of stage 2, twice those of stage 1.
    type C2: ConstDim;
    /// Channels of stage 3.
    type C3: ConstDim;
    /// Channels of stage 4.
    type C4: ConstDim;
    /// Blocks of stage 1, none of which pools; so also the number of stage 2's first block.
    type PlainBlocks1: ConstDim;
    /// Blocks of stage 2 after the pooling one.
    type PlainBlocks2: ConstDim;
    /// Blocks of stage 3 after the pooling one.
    type PlainBlocks3: ConstDim;
    /// Blocks of stage 4 after the pooling one.
    type PlainBlocks4: ConstDim;
    /// Number of stage 3's first block.
    type FirstBlock3: ConstDim;
    /// Number of stage 4's first block.
    type FirstBlock4: ConstDim;
    /// Side of the background positional embedding.
    type Background: ConstDim;
    /// Side of the tiled positional embedding: the first stage's window.
    type Tile: ConstDim;
    /// What programs and files call it.
    const NAME: &'static str;
    /// Attention heads in stage 1; doubled by each further stage.
    const HEADS: usize;
    /// Side of the attention windows of each stage.
    const WINDOWS: [usize; 4];
    /// Numbers of the blocks that attend to the whole map, ascending.
    const GLOBAL: &'static [usize];

    /// Blocks of each stage.
    const BLOCKS: [usize; 4] = [
        Self::PlainBlocks1::SIZE,
        Self::PlainBlocks2::SIZE + 1,
        Self::PlainBlocks3::SIZE + 1,
        Self::PlainBlocks4::SIZE + 1,
    ];
    /// Channels of each stage.
    const CHANNELS: [usize; 4] = [Self::C1::SIZE, Self::C2::SIZE, Self::C3::SIZE, Self::C4::SIZE];
    /// Evaluating it proves the sizes consistent; the model does so wherever it is built.
    const CHECKED: () = check_variant::<Self>();

    /// How block `number` attends. A stage's first block still uses the previous stage's window, so
    /// that pooling its queries leaves windows of half the side.
    fn attention(number: usize) -> AttentionConfig {
        let (stage, first) = stage_of(&Self::BLOCKS, number);
        let own = if stage > 0 && number == first { stage - 1 } else { stage };
        AttentionConfig {
            heads: Self::HEADS << stage,
            window: if Self::GLOBAL.contains(&number) { 0 } else { Self::WINDOWS[own] },
        }
    }
}

/// The stage (0 to 3) of a block, and the number of that stage's first block.
pub(super) fn stage_of(blocks: &[usize; 4], number: usize) -> (usize, usize) {
    let mut first = 0;
    for (stage, count) in blocks.iter().enumerate() {
        if stage == 3 || number < first + count {
            return (stage, first);
        }
        first += count;
    }
    (3, first)
}

/// Fails to compile (as a `const`) for sizes that contradict each other.
pub const fn check_variant<V: Variant>() {
    assert!(V::C2::SIZE == 2 * V::C1::SIZE, "C2 must be twice C1");
    assert!(V::C3::SIZE == 2 * V::C2::SIZE, "C3 must be twice C2");
    assert!(V::C4::SIZE == 2 * V::C3::SIZE, "C4 must be twice C3");
    assert!(V::HEADS > 0, "HEADS must not be 0");
    assert!(V::C1::SIZE.is_multiple_of(V::HEADS), "HEADS must divide C1");
    assert!(V::PlainBlocks1::SIZE > 0, "stage 1 must have a block that keeps its map");
    assert!(
        V::FirstBlock3::SIZE == V::PlainBlocks1::SIZE + V::PlainBlocks2::SIZE + 1,
        "FirstBlock3 must be the number of blocks before stage 3"
    );
    assert!(
        V::FirstBlock4::SIZE == V::FirstBlock3::SIZE + V::PlainBlocks3::SIZE + 1,
        "FirstBlock4 must be the number of blocks before stage 4"
    );
    assert!(V::Tile::SIZE == V::WINDOWS[0], "Tile must be the first stage's window");
    assert!(
        V::Tile::SIZE > 0 && 8usize.is_multiple_of(V::Tile::SIZE),
        "the first window must divide 8, as it tiles the first map of every side"
    );
    assert!(V::Background::SIZE > 0, "the background embedding must not be empty");
    let mut stage = 0;
    while stage < 4 {
        assert!(V::WINDOWS[stage] > 0, "a window must not be empty");
        assert!(
            stage == 3 || V::WINDOWS[stage].is_multiple_of(2),
            "the windows of the first three stages must be even, as the next stage's first block pools them"
        );
        stage += 1;
    }
    let blocks = V::FirstBlock4::SIZE + V::PlainBlocks4::SIZE + 1;
    let mut i = 0;
    while i < V::GLOBAL.len() {
        assert!(V::GLOBAL[i] < blocks, "a global block lies past the last block");
        assert!(i == 0 || V::GLOBAL[i - 1] < V::GLOBAL[i], "global blocks must ascend");
        i += 1;
    }
}

/// Declares a variant in a few lines, as the table of the paper has it.
///
/// ```
/// sam2unet::variant! {
///     /// A quarter of Tiny.
///     pub Mini = "mini", dim 24, heads 1, blocks [1 2 3 1], global [4], background 7, windows [8 4 14 7]
/// }
/// # use sam2unet::nn::Variant;
/// assert_eq!(Mini::CHANNELS, [24, 48, 96, 192]);
/// ```
#[macro_export]
macro_rules! variant {
    ($(#[$doc:meta])* $vis:vis $Name:ident = $name:literal, dim $c:literal, heads $heads:literal,
     blocks [$b1:literal $b2:literal $b3:literal $b4:literal], global [$($g:literal)*],
     background $bg:literal, windows [$w1:literal $w2:literal $w3:literal $w4:literal]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        $vis struct $Name;
        impl $crate::nn::Variant for $Name {
            type C1 = $crate::nn::Const<$c>;
            type C2 = $crate::nn::Const<{ 2 * $c }>;
            type C3 = $crate::nn::Const<{ 4 * $c }>;
            type C4 = $crate::nn::Const<{ 8 * $c }>;
            type PlainBlocks1 = $crate::nn::Const<$b1>;
            type PlainBlocks2 = $crate::nn::Const<{ $b2 - 1 }>;
            type PlainBlocks3 = $crate::nn::Const<{ $b3 - 1 }>;
            type PlainBlocks4 = $crate::nn::Const<{ $b4 - 1 }>;
            type FirstBlock3 = $crate::nn::Const<{ $b1 + $b2 }>;
            type FirstBlock4 = $crate::nn::Const<{ $b1 + $b2 + $b3 }>;
            type Background = $crate::nn::Const<$bg>;
            type Tile = $crate::nn::Const<$w1>;
            const NAME: &'static str = $name;
            const HEADS: usize = $heads;
            const WINDOWS: [usize; 4] = [$w1, $w2, $w3, $w4];
            const GLOBAL: &'static [usize] = &[$($g),*];
        }
        const _: () = $crate::nn::check_variant::<$Name>();
    };
}

variant! {
    /// Hiera-T.
    pub Tiny = "tiny", dim 96, heads 1, blocks [1 2 7 2], global [5 7 9], background 7, windows [8 4 14 7]
}
variant! {
    /// Hiera-S.
    pub Small = "small", dim 96, heads 1, blocks [1 2 11 2], global [7 10 13], background 7, windows [8 4 14 7]
}
variant! {
    /// Hiera-B+.
    pub BasePlus = "base-plus", dim 112, heads 2, blocks [2 3 16 3], global [12 16 20], background 14, windows [8 4 14 7]
}
variant! {
    /// Hiera-L, the paper's.
    pub Large = "large", dim 144, heads 2, blocks [2 6 36 4], global [23 33 43], background 7, windows [8 4 16 8]
}

/// A function generic over the variant, called with a name known at run time by [`VariantName::visit`] and [`with_variant`].
pub trait WithVariant {
    /// What it gives, whatever the variant.
    type Output;
    /// The function.
    fn call<V: Variant>(self) -> Self::Output;
}

/// Writes a function like [`with_variant`](crate::nn::with_variant) for any list of variants, one's
/// own among them: `with_variant! { fn any: Tiny, Mini }`.
#[macro_export]
macro_rules! with_variant {
    ($(#[$doc:meta])* $vis:vis fn $f:ident: $($V:ty),* $(,)?) => {
        $(#[$doc])*
        $vis fn $f<F: $crate::nn::WithVariant>(name: &str, f: F) -> Option<F::Output> {
            $(if name == <$V as $crate::nn::Variant>::NAME {
                return Some(f.call::<$V>());
            })*
            None
        }
    };
}

/// Makes everything that knows all built-in variants.
macro_rules! built_in {
    ($($Name:ident),+ $(,)?) => {
        with_variant! {
            /// Calls `f` with the built-in variant of that name, one of [`VARIANTS`] in lower case; `None` if there is none.
            pub fn with_variant: $($Name),+
        }

        /// The names that [`with_variant`] knows, smallest first.
        pub const VARIANTS: &[&str] = &[$($Name::NAME),+];

        /// The name of a built-in variant, found in any case. [`Large`](Self::Large) is the paper's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum VariantName {
            $(#[doc = concat!("[`", stringify!($Name), "`](struct@", stringify!($Name), ").")] $Name),+
        }

        impl VariantName {
            /// All of them, smallest first.
            pub const ALL: &'static [Self] = &[$(Self::$Name),+];

            /// The name, as [`Variant::NAME`] has it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Name => $Name::NAME),+
                }
            }

            /// Calls `f` with the variant itself, whose type is known then.
            pub fn visit<F: WithVariant>(self, f: F) -> F::Output {
                match self {
                    $(Self::$Name => f.call::<$Name>()),+
                }
            }
        }

        impl Choice for VariantName {
            const WHAT: &'static str = "variant";

            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn name(self) -> &'static str {
                self.name()
            }
        }

        text_of_choice!(VariantName);
    };
}

// smallest first
built_in! { Tiny, Small, BasePlus, Large }

#[cfg(test)]
mod tests {
    use super::*;

    fn windows<V: Variant>() -> Vec<usize> {
        (0..V::BLOCKS.iter().sum()).map(|i| V::attention(i).window).collect()
    }

    #[test]
    fn windows_follow_the_stage_before() {
        assert_eq!(windows::<Tiny>(), [8, 8, 4, 4, 14, 0, 14, 0, 14, 0, 14, 7]);
        let large = windows::<Large>();
        assert_eq!(large.len(), 48);
        assert_eq!(large[..10], [8, 8, 8, 4, 4, 4, 4, 4, 4, 16]);
        assert_eq!(large[43..], [0, 16, 8, 8, 8]);
        assert_eq!([large[23], large[33]], [0, 0]);
    }

    #[test]
    fn heads_double_with_the_channels() {
        let heads = |i| Large::attention(i).heads;
        assert_eq!([0, 1, 2, 7, 8, 43, 44, 47].map(heads), [2, 2, 4, 4, 8, 8, 16, 16]);
    }

    #[test]
    fn names_become_types() {
        struct Channels;
        impl WithVariant for Channels {
            type Output = [usize; 4];
            fn call<V: Variant>(self) -> [usize; 4] {
                V::CHANNELS
            }
        }
        assert_eq!(
            ["tiny", "small", "base-plus", "large"].map(|name| with_variant(name, Channels).map(|c| c[3])),
            [Some(768), Some(768), Some(896), Some(1152)]
        );
        assert_eq!(with_variant("base+", Channels), None);
        assert!(VARIANTS.iter().all(|name| with_variant(name, Channels).is_some()));
    }

    #[test]
    fn a_name_is_one_of_the_list_in_any_case() {
        assert!(VariantName::ALL.iter().map(|variant| variant.name()).eq(VARIANTS.iter().copied()));
        assert_eq!("Base-Plus".parse(), Ok(VariantName::BasePlus));
        assert_eq!(serde_json::from_str::<VariantName>("\"LARGE\"").unwrap(), VariantName::Large);
        let error = "huge".parse::<VariantName>().unwrap_err().to_string();
        assert_eq!(error, format!("variant: there is no `huge`; choose one of {}", VARIANTS.join(", ")));
    }
}
