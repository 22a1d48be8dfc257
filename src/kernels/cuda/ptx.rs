//! The compiled kernels that the library carries, as PTX text, and the arguments that they are launched with.

use crate::kernels::precision::Precision;
use std::ffi::c_void;

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
    /// Its kernels with their parameters, as the text declares them: `.entry name(.param .u64 a, .param .f32 b)`.
    pub fn signatures(self) -> Vec<Signature> {
        let declared = self.ptx.split(".entry ").skip(1);
        declared.filter_map(Signature::parse).collect()
    }
}

/// A kernel's name and the types of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: &'static str,
    pub parameters: Vec<Parameter>,
}

impl Signature {
    /// From the text after `.entry `.
    fn parse(declared: &'static str) -> Option<Self> {
        let name = declared.split(['(', '\n', ' ']).next()?;
        let list = declared[name.len()..].trim_start().strip_prefix('(').and_then(|rest| rest.split(')').next());
        let parameters = list.unwrap_or("").split(".param").skip(1).map(Parameter::parse).collect();
        Some(Self { name, parameters })
    }

    /// Checks a launch's arguments against the kernel's parameters.
    ///
    /// # Errors
    /// When there are fewer or more arguments than parameters, or one has another type.
    pub fn check(&self, args: &[Arg]) -> Result<(), WrongArguments> {
        let wrong = |what| Err(WrongArguments { kernel: self.name, what });
        if self.parameters.len() != args.len() {
            return wrong(format!("takes {} arguments and is given {}", self.parameters.len(), args.len()));
        }
        for (i, (parameter, arg)) in self.parameters.iter().zip(args).enumerate() {
            if !parameter.takes(arg.kind) {
                return wrong(format!("has a parameter {i} of type {parameter:?} and is given {:?}", arg.kind));
            }
        }
        Ok(())
    }
}

/// A kernel's arguments are not those that its source declares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the GPU kernel `{kernel}` {what}")]
pub struct WrongArguments {
    kernel: &'static str,
    what: String,
}

/// The type of a kernel's parameter, as far as PTX tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A whole number of so many bytes; an address has 8.
    Integer(usize),
    /// A floating point number of so many bytes.
    Float(usize),
    /// So many bytes of either.
    Bits(usize),
    /// What no argument can be, such as a structure.
    Other,
}

impl Parameter {
    /// From the text after `.param`: `.u64 name`, or `.u64 .ptr .align 1 name`.
    fn parse(declared: &str) -> Self {
        let kind = declared.split_whitespace().next().unwrap_or("");
        let bytes = |bits: &str| bits.parse::<usize>().ok().map(|bits| bits / 8);
        let sized = |letter: &str| kind.strip_prefix('.')?.strip_prefix(letter).and_then(bytes);
        let integer = sized("u").or_else(|| sized("s")).map(Self::Integer);
        integer.or_else(|| sized("f").map(Self::Float)).or_else(|| sized("b").map(Self::Bits)).unwrap_or(Self::Other)
    }

    /// Whether an argument of this type fits the parameter.
    fn takes(self, kind: ArgKind) -> bool {
        match self {
            Self::Integer(bytes) => kind == ArgKind::Integer(bytes),
            Self::Float(bytes) => kind == ArgKind::Float(bytes),
            Self::Bits(bytes) => kind == ArgKind::Integer(bytes) || kind == ArgKind::Float(bytes),
            Self::Other => false,
        }
    }
}

/// One argument of a kernel: the bytes of an address, of a `size_t`, `int` or `unsigned`, of a `float` or of a `double`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Arg {
    bytes: [u8; 8],
    kind: ArgKind,
}

/// What an argument is, and of how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArgKind {
    Integer(usize),
    Float(usize),
}

impl Arg {
    /// Where its bytes are, for the driver to copy.
    pub fn pointer(&mut self) -> *mut c_void {
        self.bytes.as_mut_ptr().cast()
    }
}

macro_rules! args_from {
    ($kind:ident: $($number:ty),*) => { $(
        impl From<$number> for Arg {
            fn from(number: $number) -> Self {
                let (mut bytes, number) = ([0; 8], number.to_ne_bytes());
                bytes[..number.len()].copy_from_slice(&number);
                Self { bytes, kind: ArgKind::$kind(number.len()) }
            }
        }
    )* };
}
args_from!(Integer: u64, usize, u32, i32);
args_from!(Float: f32, f64);

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

/// The one of a kernel's two names that writes operands for products of this precision.
pub fn writing(precision: Precision, [single, bf16]: [&'static str; 2]) -> &'static str {
    if precision == Precision::Bf16 { bf16 } else { single }
}

/// The grid with one thread for each of `n` numbers, in blocks of [`THREADS`].
pub fn over(n: usize) -> [u32; 3] {
    [blocks(n, THREADS as usize), 1, 1]
}

/// How many blocks of `each` cover `n`.
pub fn blocks(n: usize, each: usize) -> u32 {
    u32::try_from(n.div_ceil(each)).unwrap_or_else(|_| panic!("{n} is more than one launch can cover"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\t// .globl\tscale\n.visible .entry scale(\n\t.param .u64 scale_param_0,\n\t.param .f32 \
                        scale_param_1,\n\t.param .u64 .ptr .align 1 scale_param_2\n)\n.maxntid 32, 1, 1\n{\n ret;\n}\n\
                        .visible .entry nothing()\n{ ret; }\n.entry whole(\n\t.param .align 4 .b8 whole_param_0[16],\n\t\
                        .param .b32 whole_param_1\n)\n{ ret; }\n";

    #[test]
    fn parameters_are_read_from_the_text() {
        use Parameter::{Bits, Float, Integer, Other};
        let found = Kernels { name: "sample", ptx: TEXT }.signatures();
        let found: Vec<_> = found.into_iter().map(|s| (s.name, s.parameters)).collect();
        let wanted =
            [("scale", vec![Integer(8), Float(4), Integer(8)]), ("nothing", vec![]), ("whole", vec![Other, Bits(4)])];
        assert_eq!(found, wanted);
    }

    #[test]
    fn wrong_arguments_are_named() {
        let scale = Kernels { name: "sample", ptx: TEXT }.signatures().swap_remove(0);
        assert_eq!(scale.check(&args![3usize, 2.0f32, 0u64]), Ok(()));
        let said = |args: &[Arg]| scale.check(args).unwrap_err().to_string();
        assert_eq!(said(&args![3usize, 2.0f32]), "the GPU kernel `scale` takes 3 arguments and is given 2");
        for args in [args![3u32, 2.0f32, 0u64], args![3usize, 2i32, 0u64], args![3usize, 2.0f64, 0u64]] {
            assert!(said(&args).starts_with("the GPU kernel `scale` has a parameter "), "{}", said(&args));
        }
    }

    /// Nothing is to be read where types are checked without a compiler (`ci-check`): the texts are empty.
    #[test]
    fn every_kernel_of_the_library_is_read() {
        let files = [
            kernels!("adamw"),
            kernels!("add_relu"),
            kernels!("attention"),
            kernels!("attention_tensor"),
            kernels!("batch_norm"),
            kernels!("conv"),
            kernels!("exclusive_loss"),
            kernels!("loss"),
            kernels!("patch_embed"),
            kernels!("resample"),
            kernels!("rows"),
        ];
        for file in files.into_iter().filter(|file| !file.ptx.is_empty()) {
            let signatures = file.signatures();
            assert!(!signatures.is_empty(), "{}", file.name);
            for signature in signatures {
                let known = signature.parameters.iter().all(|parameter| *parameter != Parameter::Other);
                assert!(known && !signature.parameters.is_empty(), "{signature:?}");
            }
        }
    }
}
