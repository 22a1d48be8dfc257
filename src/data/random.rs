//! Random numbers that depend on their seeds only.
//!
//! An exact resume, on another machine and with another release, needs the same draws. So the generator and the way
//! a bounded number comes out of it are written here: SplitMix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", OOPSLA 2014), and the high half of a 64 x 64 bit product.

/// A stream of random numbers, a function of the numbers it was made from.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    /// The stream of `keys`: equal keys give equal streams; streams of different keys (or of the same in another
    /// order) have nothing to do with each other.
    pub fn new(keys: &[u64]) -> Self {
        let state = keys.iter().fold(keys.len() as u64, |state, &key| mix(state.wrapping_add(GOLDEN_GAMMA) ^ mix(key)));
        Self { state }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number in `0..bound`, or 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A number in `0.0..1.0`, of 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A number in `low..high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of the choices.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// Shuffles in place (Fisher and Yates), every order equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // first values of the reference implementation for the seed 1234567
        let mut draws = Draws { state: 1_234_567 };
        assert_eq!(draws.bits(), 6_457_827_717_110_365_317);
        assert_eq!(draws.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_depend_on_every_key_and_on_their_order() {
        let first = |keys: &[u64]| Draws::new(keys).bits();
        let all = [first(&[]), first(&[0]), first(&[0, 0]), first(&[1, 2]), first(&[2, 1]), first(&[1])];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "stream {i} repeats");
        }
    }

    #[test]
    fn numbers_stay_in_their_range_and_fill_it() {
        let mut draws = Draws::new(&[7]);
        let mut seen = [0usize; 5];
        for _ in 0..5000 {
            seen[draws.below(5)] += 1;
            let unit = draws.unit();
            assert!((0.0..1.0).contains(&unit));
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
        assert_eq!(draws.below(0), 0);
    }
}
