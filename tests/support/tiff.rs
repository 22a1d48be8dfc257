//! TIFF files of any kind, written tag by tag.

/// A tag, its type (1 byte, 2 text, 3 short, 4 long) and its values.
pub type Field = (u16, u16, Vec<u32>);

pub fn short(tag: u16, values: &[u32]) -> Field {
    (tag, 3, values.to_vec())
}

pub fn long(tag: u16, values: &[u32]) -> Field {
    (tag, 4, values.to_vec())
}

/// A little-endian TIFF of one strip, where the fields do not place others (tags 273 and 279, of tiles 324 and 325). It
/// begins at byte 8.
pub fn tiff_bytes(fields: &[Field], strip: &[u8]) -> Vec<u8> {
    let mut fields = fields.to_vec();
    let placed = fields.iter().any(|field| matches!(field.0, 273 | 324));
    if !placed {
        fields.extend([long(273, &[8]), long(279, &[strip.len() as u32])]);
    }
    fields.sort();
    let directory = 8 + strip.len();
    let (mut entries, mut far) = (Vec::new(), Vec::new());
    for (tag, kind, values) in &fields {
        let width = match kind {
            1 | 2 => 1,
            3 => 2,
            _ => 4,
        };
        let mut data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()[..width].to_vec()).collect();
        entries.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        entries.extend((values.len() as u32).to_le_bytes());
        if data.len() <= 4 {
            data.resize(4, 0);
            entries.extend(data);
        } else {
            entries.extend(((directory + 2 + 12 * fields.len() + 4 + far.len()) as u32).to_le_bytes());
            far.extend(data);
        }
    }
    let head = [b"II*\0", &(directory as u32).to_le_bytes()[..], strip].concat();
    [&head[..], &(fields.len() as u16).to_le_bytes(), &entries, &[0; 4], &far].concat()
}
