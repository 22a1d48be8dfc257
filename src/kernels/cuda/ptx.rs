//! The compiled kernels that the library carries, as PTX text, and the arguments that they are launched with.

use crate::nn::backend::Precision;

/// Threads of a block in elementwise kernels.
pub const THREADS: u32 = 256;

/// The kernels of one `.cu` file, by its name: `kernels!("add_relu")`.
macro_rules! kernels {
    ($name:literal) => {
        $crate::kernels::cuda::ptx::Kernels {
            name: $name,
            ptx: include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")),
        }
    };
}
pub(super) use kernels;

/// The kernels of one `.cu` file.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    pub name: &'static str,
    pub ptx: &'static str,
}

impl Kernels {
    /// The names of its kernels, as PTX declares them: `.entry name(`.
    pub fn names(self) -> Vec<&'static str> {
        let declared = self.ptx.split(".entry ").skip(1);
        declared.filter_map(|rest| Some(rest.split(['(', '\n']).next()?.trim())).collect()
    }
}

/// One argument of a kernel: the bytes of an address, of a `size_t`, `int` or `unsigned`, of a `float` or of a `double`.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
pub struct Arg(pub [u8; 8]);

macro_rules! args_from {
    ($($number:ty),*) => { $(
        impl From<$number> for Arg {
            fn from(number: $number) -> Self {
                let (mut bytes, number) = ([0; 8], number.to_ne_bytes());
                bytes[..number.len()].copy_from_slice(&number);
                Self(bytes)
            }
        }
    )* };
}
args_from!(u64, usize, u32, i32, f32, f64);

/// The arguments of a kernel in its own order. Numbers must have its types exactly: `size_t` is a `usize`.
macro_rules! args {
    ($($argument:expr),* $(,)?) => { [$($crate::kernels::cuda::ptx::Arg::from($argument)),*] };
}
pub(super) use args;

/// Lets `args!` take borrowed buffers of these types.
macro_rules! args_from_buffers {
    ($($buffer:ty),*) => { $(
        impl From<&$buffer> for $crate::kernels::cuda::ptx::Arg {
            fn from(buffer: &$buffer) -> Self {
                buffer.address().into()
            }
        }
    )* };
}
pub(super) use args_from_buffers;

/// Of a kernel's two names the one that writes what products of this precision take.
pub fn writing(precision: Precision, [single, bf16]: [&'static str; 2]) -> &'static str {
    if precision == Precision::Bf16 { bf16 } else { single }
}

/// The grid that has one thread, in blocks of [`THREADS`], to each of `n` numbers.
pub fn over(n: usize) -> [u32; 3] {
    [blocks(n, THREADS as usize), 1, 1]
}

/// How many blocks of `each` cover `n`.
pub fn blocks(n: usize, each: usize) -> u32 {
    u32::try_from(n.div_ceil(each)).unwrap_or_else(|_| panic!("{n} is more than one launch can cover"))
}
