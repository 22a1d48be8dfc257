//! Tiles of bf16 words on the AMX unit: 16 rows of 16 words each, multiplied by one instruction.
//!
//! Rust has no stable intrinsics for them, so each instruction is a line of assembly. Panels are those of AVX-512 BF16: 32
//! columns side by side are two tiles, a row 128 bytes after another. As `vdpbf16ps`, `tdpbf16ps` rounds sums to nearest,
//! reads subnormal numbers as zero and writes zero for them. It sums its 32 products by themselves and then adds them to
//! the destination, which may therefore hold the bias or the earlier sum from the start: no sum is long.

use super::tile::{Before, Left, Runs, WIDEST, prefetch, prefetch_to_write};
use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Rows of a tile, and words of a row.
const SIDE: usize = 16;
/// Bytes from a panel's row to the next.
const PANEL_ROW: usize = WIDEST * size_of::<f32>();
/// Bytes of a tile's row.
const TILE_ROW: usize = SIDE * size_of::<f32>();

/// Whether this machine has tiles, the system lets this process use them, and they compute what they should.
///
/// The system grants tiles to a process as a whole, to threads that run already too.
pub fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| has_tiles() && may_use_tiles() && agrees_with_plain_numbers())
}

/// What the processor and the system's saved state say.
fn has_tiles() -> bool {
    /// `EDX` of leaf 7.
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    /// Tile configuration and tile data in `XCR0`.
    const SAVED: u64 = 0b11 << 17;

    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: register 0 exists wherever the instruction does.
        unsafe { _xgetbv(0) }
    }
    if !is_x86_feature_detected!("avx512f") || !is_x86_feature_detected!("xsave") || __cpuid(0).eax < 7 {
        return false;
    }
    let found = __cpuid_count(7, 0).edx;
    // SAFETY: the feature has just been detected, and AVX-512 counts as detected only if the system enabled `xgetbv`.
    found & AMX_BF16 != 0 && found & AMX_TILE != 0 && unsafe { saved() } & SAVED == SAVED
}

/// Asks Linux for the tiles' state, as it must be asked; other systems are not known.
fn may_use_tiles() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILE_DATA: usize = 18;
    if !cfg!(target_os = "linux") {
        return false;
    }
    let mut answer = ARCH_PRCTL;
    // SAFETY: the call takes two numbers and touches no memory of ours; the kernel overwrites `rcx` and `r11` alone.
    unsafe {
        asm!("syscall", inout("rax") answer, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") TILE_DATA,
            out("rcx") _, out("r11") _, options(nostack));
    }
    answer == 0
}

/// One small product, of whole numbers that bf16 holds, with all that a tile can meet.
fn agrees_with_plain_numbers() -> bool {
    let (rows, depth) = (21, 19);
    let number = |i: usize| (i * 37 % 17) as f32 - 8.0;
    let word = |i: usize| f32::from_bits(number(2 * i).to_bits() >> 16 | number(2 * i + 1).to_bits() & 0xffff_0000);
    let a: Vec<f32> = (0..rows * depth).map(word).collect();
    let panel: Vec<f32> = (0..depth * WIDEST).map(|i| word(i + 5)).collect();
    let pointers: Vec<_> = a.chunks_exact(depth).map(<[f32]>::as_ptr).collect();
    let mut c: Vec<f32> = (0..rows * WIDEST).map(number).collect();
    {
        // SAFETY: the caller has found, or installed, what carries tiles out.
        let _tiles = unsafe { Tiles::on_this_thread() };
        let left = Left::Rows(&pointers);
        // SAFETY: tiles were found; there are `rows` rows of `depth` words, as many rows of a panel, and `rows` rows at the
        // destination.
        unsafe {
            tile(Runs::one(depth), left, (panel.as_ptr(), panel.as_ptr()), Before::Itself, (c.as_mut_ptr(), WIDEST), 2)
        };
    }
    let expected = |i: usize| {
        let products = (0..depth).flat_map(|p| {
            let (a, b) = ((i / WIDEST * depth + p) * 2, (p * WIDEST + i % WIDEST + 5) * 2);
            [number(a) * number(b), number(a + 1) * number(b + 1)]
        });
        number(i) + products.sum::<f32>()
    };
    c.iter().enumerate().all(|(i, c)| *c == expected(i))
}

/// Tiles are set up on this thread while this lives. They are given back then, as the system saves and restores 8 KiB more
/// for a thread that has them in use.
pub struct Tiles(std::marker::PhantomData<*const ()>);

#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_a_row: [u16; 16],
    rows: [u8; 16],
}

/// All eight tiles alike.
static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_of_a_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

impl Tiles {
    /// Sets them up.
    ///
    /// # Safety
    /// The machine has them, or what carries them out in its place: see [`available`].
    pub unsafe fn on_this_thread() -> Self {
        // SAFETY: the instruction, which the caller vouches for, reads 64 bytes. See below on what tiles hold.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &CONFIGURATION, options(nostack, preserves_flags, readonly)) };
        Self(std::marker::PhantomData)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

// Tiles hold their numbers from one of these to the next. No rule of the language's says so; but no code of the compiler's or
// of a library's that is called in between knows of tiles, so nothing there can change them, as nothing changes the
// configuration that `Tiles` loads.

/// Reads a tile, its rows `$stride` bytes apart.
macro_rules! load {
    ($tile:literal, $from:expr, $stride:expr) => {
        asm!(concat!("tileloadd tmm", $tile, ", [{from} + {stride}*1]"), from = in(reg) $from, stride = in(reg) $stride,
            options(nostack, preserves_flags, readonly))
    };
}

/// Writes a tile.
macro_rules! store {
    ($tile:literal, $to:expr, $stride:expr) => {
        asm!(concat!("tilestored [{to} + {stride}*1], tmm", $tile), to = in(reg) $to, stride = in(reg) $stride,
            options(nostack, preserves_flags))
    };
}

/// Adds the product of two tiles to a third.
macro_rules! multiply {
    ($sum:literal, $a:literal, $b:literal) => {
        asm!(concat!("tdpbf16ps tmm", $sum, ", tmm", $a, ", tmm", $b), options(nostack, preserves_flags, nomem))
    };
}

/// Sets a sum to what it starts from.
macro_rules! start {
    ($tile:literal, $before:expr, $c:expr, $column:expr) => {
        match $before {
            Before::Zero => asm!(concat!("tilezero tmm", $tile), options(nostack, preserves_flags, nomem)),
            // Each row of the tile is read from the same place.
            Before::Bias(bias) => load!($tile, bias.add($column), 0usize),
            Before::Itself => load!($tile, $c.0.add($column), $c.1 * size_of::<f32>()),
        }
    };
}

/// See [`super::tile::tile`]: up to 32 rows.
///
/// # Safety
/// As there; and [`Tiles`] must be set up on this thread.
pub unsafe fn tile(
    runs: Runs<'_>,
    left: Left<'_>,
    (panel, ahead): (*const f32, *const f32),
    before: Before,
    (c, stride): (*mut f32, usize),
    vectors: usize,
) {
    let rows = match left {
        Left::Rows(rows) => rows.len(),
        Left::Columns { rows, .. } => rows,
    };
    debug_assert!((1..=2 * SIDE).contains(&rows) && (1..=2).contains(&vectors), "{rows} rows, {vectors} vectors");
    // Fetched while the sums are made, not when they wait for it.
    for row in 0..rows {
        (0..vectors).for_each(|j| prefetch_to_write(c.wrapping_add(row * stride + j * SIDE)));
    }
    // SAFETY: the caller's promise. Rows short of a tile's are computed in a corner of our own, from and to which those
    // that exist are copied; what the others hold is read and written nowhere else.
    unsafe {
        let whole = rows / SIDE;
        let mut corner = [MaybeUninit::<f32>::uninit(); SIDE * WIDEST];
        let corner: *mut f32 = corner.as_mut_ptr().cast();
        let beyond = rows % SIDE;
        // past the end where all tiles are whole: then nothing is read or written there
        let tail = c.wrapping_add(whole * SIDE * stride);
        if beyond > 0 && matches!(before, Before::Itself) {
            copy_rows((tail, stride), (corner, WIDEST), beyond, vectors);
        }
        let to = |group: usize| if group < whole { (c.add(group * SIDE * stride), stride) } else { (corner, WIDEST) };
        let groups = rows.div_ceil(SIDE);
        let (first, second) = (Group::of(left, 0), Group::of(left, groups - 1));
        match (groups, vectors) {
            (1, 1) => sums::<1, 1>(runs, [first, second], (panel, ahead), before, [to(0), to(0)]),
            (1, _) => sums::<1, 2>(runs, [first, second], (panel, ahead), before, [to(0), to(0)]),
            (_, 1) => sums::<2, 1>(runs, [first, second], (panel, ahead), before, [to(0), to(1)]),
            _ => sums::<2, 2>(runs, [first, second], (panel, ahead), before, [to(0), to(1)]),
        }
        if beyond > 0 {
            copy_rows((corner, WIDEST), (tail, stride), beyond, vectors);
        }
    }
}

/// # Safety
/// `rows` rows of `vectors` vectors are readable and writable, and apart.
unsafe fn copy_rows((from, step): (*const f32, usize), (to, stride): (*mut f32, usize), rows: usize, vectors: usize) {
    for i in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from.add(i * step), to.add(i * stride), vectors * SIDE) };
    }
}

/// Sixteen rows of the left factor, or as many as there are.
#[derive(Clone, Copy)]
enum Group<'a> {
    /// All sixteen, as many bytes apart: whole tiles are read where they stand.
    Even { rows: &'a [*const f32], stride: isize },
    /// To be gathered first.
    Rows(&'a [*const f32]),
    /// To be turned first.
    Columns { first: *const f32, stride: usize, rows: usize },
}

impl<'a> Group<'a> {
    fn of(left: Left<'a>, group: usize) -> Self {
        match left {
            Left::Rows(rows) => {
                let rows = &rows[group * SIDE..rows.len().min((group + 1) * SIDE)];
                let stride = |pair: &[*const f32]| (pair[1] as isize).wrapping_sub(pair[0] as isize);
                match rows.len() == SIDE && rows.windows(2).all(|pair| stride(pair) == stride(rows)) {
                    true => Self::Even { rows, stride: stride(rows) },
                    false => Self::Rows(rows),
                }
            }
            Left::Columns { first, stride, rows } => {
                let first = first.wrapping_add(group * SIDE);
                Self::Columns { first, stride, rows: SIDE.min(rows - group * SIDE) }
            }
        }
    }

    /// Where some words of the rows stand as a tile reads them, and how many bytes apart: in place if they can, else in
    /// `space`, zeros after the last word.
    ///
    /// # Safety
    /// Each row holds these words; the machine has AVX-512.
    #[target_feature(enable = "avx512f")]
    unsafe fn at(self, step: Step<'_>, space: &mut Space) -> (*const f32, isize) {
        let first_of = |count: usize| (1u32 << count).wrapping_sub(1) as __mmask16;
        // SAFETY: masked loads touch no more than the step's words of each row, or rows of each word; the space has room for
        // sixteen vectors.
        unsafe {
            match self {
                Self::Even { rows, stride } if step.words == SIDE && step.in_one_run() => {
                    // One instruction reads all rows, from the first one's address on.
                    rows.iter().for_each(|row| _ = row.expose_provenance());
                    return (rows[0].wrapping_offset(step.place(0, 1)), stride);
                }
                Self::Even { rows, .. } | Self::Rows(rows) if step.in_one_run() => {
                    let (from, mask) = (step.place(0, 1), first_of(step.words));
                    for (i, row) in rows.iter().enumerate() {
                        _mm512_store_ps(space.row(i), _mm512_maskz_loadu_ps(mask, row.wrapping_offset(from)));
                    }
                }
                Self::Even { rows, .. } | Self::Rows(rows) => {
                    for (i, row) in rows.iter().enumerate() {
                        _mm512_store_ps(space.row(i), _mm512_setzero_ps());
                        for p in 0..step.words {
                            *space.row(i).add(p) = *row.wrapping_offset(step.place(p, 1));
                        }
                    }
                }
                Self::Columns { first, stride, rows } => {
                    let mut columns = [_mm512_setzero_ps(); SIDE];
                    for (p, column) in columns.iter_mut().take(step.words).enumerate() {
                        *column = _mm512_maskz_loadu_ps(first_of(rows), first.wrapping_offset(step.place(p, stride)));
                    }
                    for (i, row) in transposed(columns).into_iter().enumerate() {
                        _mm512_store_ps(space.row(i), row);
                    }
                }
            }
        }
        (space.row(0), TILE_ROW as isize)
    }
}

/// Words of the depth that are multiplied at once: at most [`SIDE`], from word `from` on.
#[derive(Clone, Copy)]
struct Step<'a> {
    runs: Runs<'a>,
    from: usize,
    words: usize,
}

impl Step<'_> {
    fn in_one_run(self) -> bool {
        self.from % self.runs.run + self.words <= self.runs.run
    }

    /// Where its word `p` stands, counted from the place of the runs, if the next word of a run stands `stride` words further.
    fn place(self, p: usize, stride: usize) -> isize {
        let (run, p) = ((self.from + p) / self.runs.run, (self.from + p) % self.runs.run);
        self.runs.shifts[run] + (p * stride) as isize
    }
}

/// Room for a tile's words. Rows that nobody writes may hold anything: a row of a product comes from the same row alone.
#[repr(C, align(64))]
struct Space([[MaybeUninit<f32>; SIDE]; SIDE]);

impl Space {
    fn row(&mut self, i: usize) -> *mut f32 {
        self.0[i].as_mut_ptr().cast()
    }
}

/// Sixteen vectors as the columns of a matrix become its rows.
#[target_feature(enable = "avx512f")]
fn transposed(columns: [__m512; SIDE]) -> [__m512; SIDE] {
    let mut x = columns;
    // Turns 2x2 words, 2x2 pairs of them, and then, whole lanes of four, 4x4 of those in two steps.
    let mut y = x;
    for i in 0..8 {
        y[2 * i] = _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    for i in 0..4 {
        for half in 0..2 {
            let (a, b) = (_mm512_castps_pd(y[4 * i + half]), _mm512_castps_pd(y[4 * i + 2 + half]));
            x[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            x[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    // Now x[4 i + r] holds row 4 l + r of columns 4 i to 4 i + 3 in lane l.
    for r in 0..4 {
        let (a, b) = (_mm512_shuffle_f32x4(x[r], x[4 + r], 0x88), _mm512_shuffle_f32x4(x[r], x[4 + r], 0xdd));
        let (c, d) = (_mm512_shuffle_f32x4(x[8 + r], x[12 + r], 0x88), _mm512_shuffle_f32x4(x[8 + r], x[12 + r], 0xdd));
        y[r] = _mm512_shuffle_f32x4(a, c, 0x88);
        y[8 + r] = _mm512_shuffle_f32x4(a, c, 0xdd);
        y[4 + r] = _mm512_shuffle_f32x4(b, d, 0x88);
        y[12 + r] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    y
}

/// `R` groups of rows times `N` tiles of columns, held in four tiles. Tiles 4 and 5 hold the left factor, 6 and 7 the right.
///
/// # Safety
/// As [`tile`]; each destination is sixteen rows of `N` vectors.
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize, const N: usize>(
    runs: Runs<'_>,
    groups: [Group<'_>; 2],
    (panel, ahead): (*const f32, *const f32),
    before: Before,
    to: [(*mut f32, usize); 2],
) {
    // SAFETY: the caller's promise: every load reads sixteen rows of sixteen words, which a panel, a bias and a destination
    // have there, and a left factor too, or stands in for.
    unsafe {
        start!("0", before, to[0], 0);
        if N == 2 {
            start!("1", before, to[0], SIDE);
        }
        if R == 2 {
            start!("2", before, to[1], 0);
            if N == 2 {
                start!("3", before, to[1], SIDE);
            }
        }
        let mut spaces = [const { Space([[MaybeUninit::uninit(); SIDE]; SIDE]) }; 2];
        let mut last = LastRows([MaybeUninit::uninit(); SIDE * WIDEST]);
        for from in (0..runs.depth()).step_by(SIDE) {
            let words = SIDE.min(runs.depth() - from);
            let here = Step { runs, from, words };
            for p in from..from + words {
                prefetch(ahead.wrapping_add(p * SIDE));
            }
            let mut b = panel.add(from * WIDEST);
            if words < SIDE {
                let rows: *mut f32 = last.0.as_mut_ptr().cast();
                std::ptr::copy_nonoverlapping(b, rows, words * WIDEST);
                rows.add(words * WIDEST).write_bytes(0, (SIDE - words) * WIDEST);
                b = rows;
            }
            let (a, step) = groups[0].at(here, &mut spaces[0]);
            load!("4", a, step);
            load!("6", b, PANEL_ROW);
            multiply!("0", "4", "6");
            if N == 2 {
                load!("7", b.add(SIDE), PANEL_ROW);
                multiply!("1", "4", "7");
            }
            if R == 2 {
                let (a, step) = groups[1].at(here, &mut spaces[1]);
                load!("5", a, step);
                multiply!("2", "5", "6");
                if N == 2 {
                    multiply!("3", "5", "7");
                }
            }
        }
        store!("0", to[0].0, to[0].1 * size_of::<f32>());
        if N == 2 {
            store!("1", to[0].0.add(SIDE), to[0].1 * size_of::<f32>());
        }
        if R == 2 {
            store!("2", to[1].0, to[1].1 * size_of::<f32>());
            if N == 2 {
                store!("3", to[1].0.add(SIDE), to[1].1 * size_of::<f32>());
            }
        }
    }
}

/// A panel's last rows, short of a tile's, with zeros below.
#[repr(C, align(64))]
struct LastRows([MaybeUninit<f32>; SIDE * WIDEST]);

#[cfg(all(test, target_os = "linux"))]
pub mod emulated;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Has tiles here, in the processor or emulated.
    fn installed() -> bool {
        if !available() && is_x86_feature_detected!("avx512f") {
            emulated::install();
        }
        is_x86_feature_detected!("avx512f")
    }

    /// Small whole numbers: every sum of their products is exact.
    fn word(i: usize) -> [f32; 2] {
        [(i * 37 % 17) as f32 - 8.0, (i * 53 % 13) as f32 - 6.0]
    }

    fn words(n: usize, seed: usize) -> Vec<f32> {
        let halves = |[a, b]: [f32; 2]| f32::from_bits(a.to_bits() >> 16 | b.to_bits() & 0xffff_0000);
        (0..n).map(|i| halves(word(i + seed))).collect()
    }

    #[test]
    fn the_check_of_the_machine_passes() {
        assert!(!installed() || agrees_with_plain_numbers());
    }

    #[test]
    fn every_shape_of_a_tile_agrees_with_a_plain_loop_and_nothing_else_is_written() {
        if !installed() {
            eprintln!("SKIPPED: AMX is emulated with AVX-512 only");
            return;
        }
        // SAFETY: they are installed.
        let _tiles = unsafe { Tiles::on_this_thread() };
        let (stride, bias) = (WIDEST + 5, (0..WIDEST).map(|j| j as f32).collect::<Vec<_>>());
        let depths = [[0, 1], [1, 1], [15, 1], [16, 1], [40, 1], [16, 3], [5, 7], [44, 2]];
        for (rows, [run, count]) in [1, 2, 15, 16, 17, 31, 32].into_iter().flat_map(|r| depths.map(|d| (r, d))) {
            // The last run comes first, the others in order.
            let (depth, turned) = (run * count, |p: usize| (p + run) % (run * count).max(1));
            let shifts: Vec<isize> = (0..count).map(|r| turned(r * run) as isize).collect();
            // Row after row, rows anywhere, and one column after another with rows that are not asked for.
            let (even, columns) = (words(rows * depth + 1, 3), words(depth * (rows + 3), 3));
            let apart: Vec<Vec<f32>> = (0..rows).map(|i| even[i * depth..][..depth].to_vec()).collect();
            let panel = words(depth * WIDEST, 11);
            let at = [even.chunks(depth.max(1)).map(<[f32]>::as_ptr).take(rows).collect(), {
                apart.iter().map(|row| row.as_ptr()).collect::<Vec<_>>()
            }];
            let lefts = [
                Left::Rows(&at[0]),
                Left::Rows(&at[1]),
                Left::Columns { first: columns.as_ptr(), stride: rows + 3, rows },
            ];
            for (kind, left) in lefts.into_iter().enumerate().filter(|(kind, _)| depth > 0 || *kind == 1) {
                let step = if kind == 2 { rows + 3 } else { 1 };
                let shifts: Vec<isize> = shifts.iter().map(|shift| shift * step as isize).collect();
                let runs = Runs { run, shifts: &shifts };
                for (before, vectors) in [Before::Zero, Before::Bias(bias.as_ptr()), Before::Itself]
                    .into_iter()
                    .flat_map(|b| [(b, 1), (b, 2)])
                {
                    let mut c: Vec<f32> = (0..(rows + 1) * stride).map(|i| i as f32).collect();
                    // SAFETY: there are tiles; all factors were made for `rows`, `depth` and two vectors.
                    unsafe {
                        tile(runs, left, (panel.as_ptr(), panel.as_ptr()), before, (c.as_mut_ptr(), stride), vectors)
                    };
                    for (n, got) in c.iter().enumerate() {
                        let (i, j) = (n / stride, n % stride);
                        let products = (0..depth).map(|p| {
                            let at = turned(p);
                            let a = word(3 + if kind == 2 { at * (rows + 3) + i } else { i * depth + at });
                            let b = word(11 + p * WIDEST + j);
                            a[0] * b[0] + a[1] * b[1]
                        });
                        let want = match before {
                            _ if i == rows || j >= vectors * SIDE => n as f32,
                            Before::Zero => products.sum(),
                            Before::Bias(_) => j as f32 + products.sum::<f32>(),
                            Before::Itself => n as f32 + products.sum::<f32>(),
                        };
                        assert_eq!(
                            *got, want,
                            "{rows} rows of {count} x {run} words, left {kind}, {vectors} vectors: {i} {j}"
                        );
                    }
                }
            }
        }
    }
}
