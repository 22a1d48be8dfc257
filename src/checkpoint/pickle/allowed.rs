//! The allow-list of a pickle.

use crate::checkpoint::tensor::Dtype;

use super::object::Known;

/// Every class and function that a pickle may name.
pub(super) fn allowed(module: &str, name: &str) -> Option<Known> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Known::Dict,
        ("collections", "Counter") | ("builtins" | "__builtin__", "set" | "frozenset") => Known::PlainValue,
        ("torch", "device") => Known::PlainValue,
        ("torch", "Size") => Known::Size,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Known::Tensor,
        ("torch._utils", "_rebuild_tensor_v3") => Known::TypedTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Known::Parameter,
        ("torch.storage" | "torch", "UntypedStorage") => Known::StorageOf(None),
        ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") => Known::StorageOf(Some(match storage {
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
            _ => return None,
        })),
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
            "uint16" => Dtype::Other("uint16"),
            "uint32" => Dtype::Other("uint32"),
            "uint64" => Dtype::Other("uint64"),
            "float8_e4m3fn" => Dtype::Other("float8_e4m3fn"),
            "float8_e5m2" => Dtype::Other("float8_e5m2"),
            _ => return None,
        }),
        _ => return None,
    })
}
