//! The innermost loop of every matrix product: a few rows times a few vectors of columns, held in
//! registers, for the instruction set found at run time.

#[cfg(target_arch = "x86_64")]
use super::amx;
use std::ops::Range;
use std::sync::OnceLock;

/// Vectors of columns in a panel: what one row of a tile fills.
const VECTORS: usize = 2;
/// The widest panel of any instruction set.
pub const WIDEST: usize = 32;
/// The highest tile of any instruction set.
pub const MOST_ROWS: usize = 32;

/// An instruction set that tiles are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 12 rows of 32 columns.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 6 rows of 16 columns.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 4 rows of 8 columns, in whatever the compiler makes of plain arrays.
    Portable,
    /// 12 rows of 32 columns, each word two bf16 numbers that lie one after another in depth.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// 32 rows of 32 columns, words as there.
    #[cfg(target_arch = "x86_64")]
    AmxBf16,
}

impl Isa {
    /// Every set for single precision that this machine has, the best one first.
    pub fn available() -> &'static [Self] {
        static FOUND: OnceLock<Vec<Isa>> = OnceLock::new();
        FOUND.get_or_init(|| {
            let mut found = Vec::new();
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx512f") {
                    found.push(Self::Avx512);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    found.push(Self::Avx2);
                }
            }
            found.push(Self::Portable);
            found
        })
    }

    /// The best set for bf16 products, if this machine has one that is faster than single precision.
    pub fn bf16() -> Option<Self> {
        static FOUND: OnceLock<Option<Isa>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                if amx::available() {
                    return Some(Self::AmxBf16);
                }
                // Twice as many products a second as in single precision on Zen 5, half as many on Emerald Rapids.
                if Self::has_avx512_bf16() && made_by_amd() {
                    return Some(Self::Avx512Bf16);
                }
            }
            None
        })
    }

    /// Whether this machine has AVX-512 BF16.
    #[cfg(target_arch = "x86_64")]
    pub fn has_avx512_bf16() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    /// What this set's tiles need of the thread while they are computed.
    ///
    /// # Safety
    /// This machine has the set, and lets the process use it.
    #[cfg(target_arch = "x86_64")]
    pub unsafe fn set_up(self) -> Option<amx::Tiles> {
        // SAFETY: the caller's promise.
        (self == Self::AmxBf16).then(|| unsafe { amx::Tiles::on_this_thread() })
    }

    /// What this set's tiles need of the thread while they are computed: nothing.
    ///
    /// # Safety
    /// None is needed.
    #[cfg(not(target_arch = "x86_64"))]
    pub unsafe fn set_up(self) -> Option<std::convert::Infallible> {
        None
    }

    /// Whether a word of a factor is two bf16 numbers instead of one of single precision.
    pub fn halves(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 | Self::AmxBf16 => true,
            _ => false,
        }
    }

    /// Words in a vector.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Bf16 | Self::AmxBf16 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            Self::Portable => 4,
        }
    }

    /// Columns of a panel.
    pub fn columns(self) -> usize {
        VECTORS * self.lanes()
    }

    /// Words of depth that are multiplied at once: slabs begin at multiples of them.
    pub fn step(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::AmxBf16 => 16,
            _ => 1,
        }
    }

    /// Cuts rows into tiles.
    pub fn tiles(self, rows: usize) -> impl Iterator<Item = Range<usize>> {
        let (height, tiles) = (self.rows(), rows.div_ceil(self.rows()));
        (0..tiles).map(move |t| match self {
            // A half of a tile takes as long as any part of it.
            #[cfg(target_arch = "x86_64")]
            Self::AmxBf16 => t * height..rows.min((t + 1) * height),
            // Of equal height: a tile of a row or two would take as long as many rows.
            _ => t * rows / tiles..(t + 1) * rows / tiles,
        })
    }

    /// Rows of a tile, at most.
    pub fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::AmxBf16 => 32,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Bf16 => 12,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 6,
            Self::Portable => 4,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn made_by_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}

/// Where a tile's left factor stands.
#[derive(Clone, Copy)]
pub enum Left<'a> {
    /// Row `i` begins at `rows[i]`, the numbers of a run one after another.
    Rows(&'a [*const f32]),
    /// Row `i`'s number `p` of a run stands at `first + p * stride + i`.
    Columns { first: *const f32, stride: usize, rows: usize },
}

/// The depth of a tile, in runs of as many words: run `r` of the left factor begins `shifts[r]` words after the place that is
/// given for it. In the panel runs follow one another.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    /// Words of a run.
    pub run: usize,
    /// Where each begins.
    pub shifts: &'a [isize],
}

impl Runs<'_> {
    /// One run, from the place that is given.
    pub fn one(run: usize) -> Self {
        Self { run, shifts: &[0] }
    }

    /// Words of all runs.
    pub fn depth(self) -> usize {
        self.run * self.shifts.len()
    }
}

/// What a tile's destination holds before the product is added.
#[derive(Clone, Copy)]
pub enum Before {
    /// Nothing of worth.
    Zero,
    /// Nothing of worth; every row starts as these numbers, a panel's width.
    Bias(*const f32),
    /// Numbers to keep.
    Itself,
}

/// `c = before + left * panel`, as many words a number as the runs have (a product each, or two in bf16). Row `i` of the
/// destination begins at `c + i * stride`; `vectors` vectors of each row are computed and written. `ahead` begins as many
/// vectors as there are words that a later tile will read: they are brought into the cache meanwhile (any address will do, as
/// nothing is read).
///
/// # Safety
/// The set must be one that this machine has and lets the process use, and [set up](Isa::set_up); there must be at most
/// [`Isa::rows`] rows, with all words of all runs readable; `panel` must hold as many rows of [`Isa::columns`] words as the runs
/// have words; a bias `vectors` vectors; the destination must be initialised, writable for `vectors` vectors in each row, and
/// nobody else's.
pub unsafe fn tile(
    isa: Isa,
    runs: Runs<'_>,
    left: Left<'_>,
    (panel, ahead): (*const f32, *const f32),
    before: Before,
    (c, stride): (*mut f32, usize),
    vectors: usize,
) {
    let panel = (panel, ahead);
    // SAFETY: the caller's promise is each kernel's.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::tile(runs, left, panel, before, (c, stride), vectors),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::tile(runs, left, panel, before, (c, stride), vectors),
            Isa::Portable => portable::tile(runs, left, panel, before, (c, stride), vectors),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => avx512_bf16::tile(runs, left, panel, before, (c, stride), vectors),
            #[cfg(target_arch = "x86_64")]
            Isa::AmxBf16 => amx::tile(runs, left, panel, before, (c, stride), vectors),
        }
    }
}

/// One instruction set's tiles. `feature` is what its functions are compiled for; the arithmetic comes from
/// the module's own `V`, `LANES`, `splat`, `load`, `store`, `fused` and `plus`.
macro_rules! tiles {
    ($(#[$feature:meta])? $($rows:literal)*) => {
        /// See [`super::tile`].
        ///
        /// # Safety
        /// As there.
        pub unsafe fn tile(
            runs: Runs<'_>,
            left: Left<'_>,
            panel: (*const f32, *const f32),
            before: Before,
            c: (*mut f32, usize),
            vectors: usize,
        ) {
            let count = match left {
                Left::Rows(rows) => rows.len(),
                Left::Columns { rows, .. } => rows,
            };
            // SAFETY: the caller's promise; `rows` and `vectors` are those of the arm.
            unsafe {
                match (count, vectors) {
                    $(
                        ($rows, 1) => fixed::<$rows, 1>(runs, left, panel, before, c),
                        ($rows, 2) => fixed::<$rows, 2>(runs, left, panel, before, c),
                    )*
                    _ => unreachable!("a tile of {count} rows and {vectors} vectors"),
                }
            }
        }

        // Plain loops on purpose: a closure would not be compiled for the same instruction set, and the sums
        // would leave the registers.
        #[allow(clippy::needless_range_loop)]
        $(#[$feature])?
        unsafe fn fixed<const R: usize, const N: usize>(
            Runs { run, shifts }: Runs<'_>,
            left: Left<'_>,
            (mut panel, mut ahead): (*const f32, *const f32),
            before: Before,
            (c, stride): (*mut f32, usize),
        ) {
            // SAFETY: the caller's promise, see `super::tile`: there are `R` rows with the numbers of all runs, the
            // panel advances by its width as often as there are numbers, `N` vectors can be read and written at the
            // destination. Places are counted with `wrapping` steps, as a run's base and its end may lie beside the numbers.
            unsafe {
                // Fetched while the sums are made, not when they wait for it.
                for i in 0..R {
                    for j in 0..N {
                        prefetch_to_write(c.wrapping_add(i * stride + j * LANES));
                    }
                }
                let mut sums = [[splat(0.0); N]; R];
                let mut b = [splat(0.0); N];
                match left {
                    Left::Rows(pointers) => {
                        let pointers = &pointers[..R];
                        for r in 0..shifts.len() {
                            let mut rows = [std::ptr::null::<f32>(); R];
                            for i in 0..R {
                                rows[i] = pointers[i].wrapping_offset(shifts[r]);
                            }
                            for p in 0..run {
                                for j in 0..N {
                                    b[j] = load(panel.add(j * LANES));
                                }
                                panel = panel.add(VECTORS * LANES);
                                prefetch(ahead);
                                ahead = ahead.wrapping_add(LANES);
                                for i in 0..R {
                                    let a = splat(*rows[i].add(p));
                                    for j in 0..N {
                                        sums[i][j] = fused(a, b[j], sums[i][j]);
                                    }
                                }
                            }
                        }
                    }
                    Left::Columns { first, stride, .. } => {
                        for r in 0..shifts.len() {
                            let mut at = first.wrapping_offset(shifts[r]);
                            for _ in 0..run {
                                for j in 0..N {
                                    b[j] = load(panel.add(j * LANES));
                                }
                                panel = panel.add(VECTORS * LANES);
                                prefetch(ahead);
                                ahead = ahead.wrapping_add(LANES);
                                for i in 0..R {
                                    let a = splat(*at.add(i));
                                    for j in 0..N {
                                        sums[i][j] = fused(a, b[j], sums[i][j]);
                                    }
                                }
                                at = at.wrapping_add(stride);
                            }
                        }
                    }
                }
                // Added last, not first: a sum of sums is rounded less than one long sum.
                match before {
                    Before::Zero => {}
                    Before::Bias(bias) => {
                        for i in 0..R {
                            for j in 0..N {
                                sums[i][j] = plus(load(bias.add(j * LANES)), sums[i][j]);
                            }
                        }
                    }
                    Before::Itself => {
                        for i in 0..R {
                            for j in 0..N {
                                sums[i][j] = plus(load(c.add(i * stride + j * LANES)), sums[i][j]);
                            }
                        }
                    }
                }
                for i in 0..R {
                    for j in 0..N {
                        store(c.add(i * stride + j * LANES), sums[i][j]);
                    }
                }
            }
        }
    };
}

/// Brings what stands there into the cache, where the machine has an instruction for it.
#[inline(always)]
pub fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees and cannot fail, wherever it points.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The same into the first cache, for a number that will be written.
#[inline(always)]
pub fn prefetch_to_write(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Before, Left, Runs, VECTORS, prefetch, prefetch_to_write};
    use std::arch::x86_64::{
        _mm512_add_ps as plus, _mm512_fmadd_ps as fused, _mm512_loadu_ps as load, _mm512_set1_ps as splat,
        _mm512_storeu_ps as store,
    };
    const LANES: usize = 16;
    tiles!(#[target_feature(enable = "avx512f")] 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[cfg(target_arch = "x86_64")]
mod avx512_bf16 {
    use super::{Before, Left, Runs, VECTORS, prefetch, prefetch_to_write};
    use std::arch::x86_64::{
        __m512, __m512bh, _mm512_add_ps as plus, _mm512_dpbf16_ps, _mm512_loadu_ps as load, _mm512_set1_ps as splat,
        _mm512_storeu_ps as store,
    };
    const LANES: usize = 16;

    /// Two products a lane, added to `c` in single precision.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn fused(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: both are 512 bits, any of which are numbers.
        let [a, b] = unsafe { std::mem::transmute::<[__m512; 2], [__m512bh; 2]>([a, b]) };
        _mm512_dpbf16_ps(c, a, b)
    }

    tiles!(#[target_feature(enable = "avx512f,avx512bf16")] 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Before, Left, Runs, VECTORS, prefetch, prefetch_to_write};
    use std::arch::x86_64::{
        _mm256_add_ps as plus, _mm256_fmadd_ps as fused, _mm256_loadu_ps as load, _mm256_set1_ps as splat,
        _mm256_storeu_ps as store,
    };
    const LANES: usize = 8;
    tiles!(#[target_feature(enable = "avx2,fma")] 1 2 3 4 5 6);
}

mod portable {
    use super::{Before, Left, Runs, VECTORS, prefetch, prefetch_to_write};
    const LANES: usize = 4;
    type V = [f32; LANES];

    #[inline(always)]
    fn splat(x: f32) -> V {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> V {
        // SAFETY: the caller can read a vector; an array has no stricter alignment than its numbers.
        unsafe { from.cast::<V>().read() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: V) {
        // SAFETY: the caller can write a vector.
        unsafe { to.cast::<V>().write(v) }
    }

    /// Rounded once only where the machine always has the instruction: elsewhere that is a slow call.
    #[inline(always)]
    fn fused(a: V, b: V, c: V) -> V {
        let one = |i| if cfg!(target_arch = "aarch64") { f32::mul_add(a[i], b[i], c[i]) } else { a[i] * b[i] + c[i] };
        std::array::from_fn(one)
    }

    #[inline(always)]
    fn plus(a: V, b: V) -> V {
        std::array::from_fn(|i| a[i] + b[i])
    }

    tiles!(1 2 3 4);
}
