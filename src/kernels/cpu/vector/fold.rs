//! Sums and other folds over rows, a vector at a time.

/// Numbers worked on as one: a vector of AVX-512, two of AVX2.
pub(super) const VECTOR: usize = 16;

/// Folds two rows of one length into one number: `each` takes what was folded so far and a number of either row, `join` joins
/// two results. There are `LANES` partial results (a few vectors), so that no addition waits for the one before; they are
/// joined by whole vectors at the end, as joining lane by lane can take as long as a whole row.
#[inline(always)]
pub(super) fn fold<const LANES: usize>(
    [a, b]: [&[f32]; 2],
    start: f32,
    each: impl Fn(f32, f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    let (mut x_groups, mut y_groups) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in (&mut x_groups).zip(&mut y_groups) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane = each(*lane, *x, *y);
        }
    }
    let (mut xs, mut ys) = (x_groups.remainder().chunks_exact(VECTOR), y_groups.remainder().chunks_exact(VECTOR));
    for (x, y) in (&mut xs).zip(&mut ys) {
        for ((lane, x), y) in lanes[..VECTOR].iter_mut().zip(x).zip(y) {
            *lane = each(*lane, *x, *y);
        }
    }
    let rest = xs.remainder().iter().zip(ys.remainder()).fold(start, |rest, (x, y)| each(rest, *x, *y));
    let vectors = lanes.as_chunks::<VECTOR>().0.iter().copied();
    let one = vectors.reduce(|a, b| std::array::from_fn(|i| join(a[i], b[i]))).unwrap_or([start; VECTOR]);
    join(join_lanes(one, &join), rest)
}

/// Folds a vector: its halves onto each other, until one number is left.
#[inline(always)]
fn join_lanes(lanes: [f32; VECTOR], join: impl Fn(f32, f32) -> f32) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| join(lanes[i], lanes[i + 8]));
    let four: [f32; 4] = std::array::from_fn(|i| join(eight[i], eight[i + 4]));
    join(join(four[0], four[2]), join(four[1], four[3]))
}

/// The sum of a row.
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    fold::<64>([x, x], 0.0, |sum, x, _| sum + x, |a, b| a + b)
}
