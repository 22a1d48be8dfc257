//! The classes and functions that stand for tensors, and for data that is built in.

use crate::checkpoint::tensor::Dtype;

use super::object::Known;

/// What a class or function stands for. `None` for all others: nothing is made of what they would make.
pub(super) fn allowed(module: &str, name: &str) -> Option<Known> {
    Some(match (module, name) {
        ("collections", "OrderedDict") | ("builtins" | "__builtin__", "dict") => Known::Dict,
        ("collections", "defaultdict") => Known::DictOf,
        ("builtins" | "__builtin__", "set" | "frozenset") => Known::Set,
        ("collections", "Counter") | ("_codecs", "encode") | ("torch", "device") => Known::PlainValue,
        // kinds of data that other data names, as `defaultdict(list)` does
        (
            "builtins" | "__builtin__",
            "list" | "tuple" | "int" | "float" | "str" | "bool" | "bytes" | "complex" | "object",
        ) => Known::PlainValue,
        ("copyreg" | "copy_reg", "_reconstructor") => Known::Reconstruct,
        ("torch.nn.parameter", "Parameter" | "Buffer") => Known::PlainValue,
        ("torch._tensor", "_rebuild_from_type_v2") => Known::FromType,
        ("torch", "Size") => Known::Size,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Known::Tensor,
        ("torch._utils", "_rebuild_tensor_v3") => Known::TypedTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Known::Parameter,
        ("torch.storage" | "torch", "UntypedStorage") => Known::StorageOf(None),
        ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") && !storage.contains('.') => {
            Known::StorageOf(Some(match storage {
                "FloatStorage" => Dtype::F32,
                "HalfStorage" => Dtype::F16,
                "BFloat16Storage" => Dtype::BF16,
                "DoubleStorage" => Dtype::F64,
                "LongStorage" => Dtype::I64,
                "IntStorage" => Dtype::I32,
                "ShortStorage" => Dtype::I16,
                "CharStorage" => Dtype::I8,
                "ByteStorage" => Dtype::U8,
                "BoolStorage" => Dtype::Bool,
                "ComplexFloatStorage" => Dtype::Other("complex64"),
                "ComplexDoubleStorage" => Dtype::Other("complex128"),
                "QInt8Storage" => Dtype::Other("qint8"),
                "QUInt8Storage" => Dtype::Other("quint8"),
                "QInt32Storage" => Dtype::Other("qint32"),
                _ => Dtype::Other("of another kind"),
            }))
        }
        ("torch", name) => Known::Type(match name {
            "float32" => Dtype::F32,
            "float16" => Dtype::F16,
            "bfloat16" => Dtype::BF16,
            "float64" => Dtype::F64,
            "int64" => Dtype::I64,
            "int32" => Dtype::I32,
            "int16" => Dtype::I16,
            "int8" => Dtype::I8,
            "uint8" => Dtype::U8,
            "bool" => Dtype::Bool,
            "complex64" => Dtype::Other("complex64"),
            "complex128" => Dtype::Other("complex128"),
            "uint16" => Dtype::U16,
            "uint32" => Dtype::U32,
            "uint64" => Dtype::U64,
            "float8_e4m3fn" => Dtype::F8E4M3,
            "float8_e5m2" => Dtype::F8E5M2,
            "float8_e4m3fnuz" => Dtype::Other("float8_e4m3fnuz"),
            "float8_e5m2fnuz" => Dtype::Other("float8_e5m2fnuz"),
            "Tensor" => return Some(Known::PlainValue),
            _ => return None,
        }),
        _ => return None,
    })
}
