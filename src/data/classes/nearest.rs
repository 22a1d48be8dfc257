//! Index maps at other sizes.

use crate::data::pixels::Grey;

/// An index map at another size, as Pillow's `resize((width, height), Image.NEAREST)`: each pixel is the one that its centre falls
/// on, where centres are added up in double precision (the sum is part of the definition: at some sizes a product rounds to
/// another pixel). A map without pixels becomes black.
pub fn resize_nearest(map: &Grey, width: usize, height: usize) -> Grey {
    if map.size() == (width, height) {
        return map.clone();
    }
    if map.data.is_empty() {
        return Grey::filled(width, height, [0]);
    }
    let (columns, rows) = (positions(map.width, width), positions(map.height, height));
    let mut data = Vec::with_capacity(width * height);
    for row in rows {
        let row = map.row(row);
        data.extend(columns.iter().map(|column| row[*column]));
    }
    Grey { width, height, data }
}

/// The source position of each target position.
fn positions(source: usize, target: usize) -> Vec<usize> {
    let step = source as f64 / target as f64;
    let mut at = step * 0.5;
    let mut next = || {
        let position = (at as usize).min(source.saturating_sub(1));
        at += step;
        position
    };
    (0..target).map(|_| next()).collect()
}
