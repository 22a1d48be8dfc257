//! The header of a `.safetensors` file.
//!
//! The `safetensors` crate checks sizes and offsets: every tensor inside of the file, none over another, no gap.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use ::safetensors::SafeTensors;
use ::safetensors::tensor::Dtype as StoredDtype;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;
use crate::checkpoint::tensor::{Dtype, Location, Tensor};

/// Largest header read, in bytes. That of a Large SAM2-UNet checkpoint has 0.2 MB.
const MAX_HEADER: u64 = 16 << 20;

/// Tensors by name, and the metadata.
pub(in crate::checkpoint) type Contents = (BTreeMap<String, Tensor>, BTreeMap<String, String>);

pub(in crate::checkpoint) fn read_header(bytes: &[u8]) -> Result<Contents, Fault> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Fault::Damaged(format!("{} bytes are too few for a safetensors header", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(Fault::Damaged(format!("its header claims {length} bytes; at most {MAX_HEADER} are read")));
    }
    if length > rest.len() as u64 {
        return Err(Fault::Damaged(format!(
            "its header claims {length} bytes, the file has {} (truncated?)",
            bytes.len()
        )));
    }
    let length = length as usize;
    unique_names(&rest[..length])?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| {
        let hint = match error {
            ::safetensors::SafeTensorError::MetadataIncompleteBuffer => " (truncated, or with something appended)",
            _ => "",
        };
        Fault::Damaged(format!("{}{hint}", shown(&error.to_string())))
    })?;
    let start = 8 + length;
    let tensors = header
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let (from, to) = info.data_offsets;
            let tensor = Tensor {
                dtype: dtype(info.dtype),
                shape: info.shape.clone(),
                location: Location::Contiguous(start + from..start + to),
                part: 0,
                in_file: name.clone(),
            };
            (name, tensor)
        })
        .collect();
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok((tensors, metadata))
}

fn dtype(stored: StoredDtype) -> Dtype {
    match stored {
        StoredDtype::F32 => Dtype::F32,
        StoredDtype::F16 => Dtype::F16,
        StoredDtype::BF16 => Dtype::BF16,
        StoredDtype::F64 => Dtype::F64,
        StoredDtype::I64 => Dtype::I64,
        StoredDtype::I32 => Dtype::I32,
        StoredDtype::I16 => Dtype::I16,
        StoredDtype::I8 => Dtype::I8,
        StoredDtype::U8 => Dtype::U8,
        StoredDtype::BOOL => Dtype::Bool,
        StoredDtype::U16 => Dtype::U16,
        StoredDtype::U32 => Dtype::U32,
        StoredDtype::U64 => Dtype::U64,
        StoredDtype::F8_E4M3 => Dtype::F8E4M3,
        StoredDtype::F8_E5M2 => Dtype::F8E5M2,
        _ => Dtype::Other("of another kind"),
    }
}

/// JSON allows a key twice and most readers take the last; here it is an error.
fn unique_names(header: &[u8]) -> Result<(), Fault> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tensors by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
            let (mut seen, mut twice) = (HashSet::new(), None);
            while let Some(name) = map.next_key::<String>()? {
                map.next_value::<IgnoredAny>()?;
                if let Some(name) = seen.replace(name) {
                    twice = Some(name);
                }
            }
            Ok(twice)
        }
    }
    match serde_json::Deserializer::from_slice(header).deserialize_map(Names) {
        Ok(None) => Ok(()),
        Ok(Some(name)) => Err(Fault::Damaged(format!("two tensors are called {}", shown(&name)))),
        Err(error) => Err(Fault::Damaged(format!("its header is no list of tensors: {}", shown(&error.to_string())))),
    }
}
