//! Colours for classes that have none.

/// PASCAL VOC's 256 colours: bits 0, 3 and 6 of the index are the highest bits of red, 1, 4 and 7 of green, 2 and 5 of blue. Index 0
/// is black.
pub const fn voc_palette() -> [[u8; 3]; 256] {
    let mut colours = [[0; 3]; 256];
    let mut index = 0;
    while index < 256 {
        let mut bit = 0;
        while bit < 8 {
            colours[index][bit % 3] |= ((index >> bit & 1) as u8) << (7 - bit / 3);
            bit += 1;
        }
        index += 1;
    }
    colours
}
