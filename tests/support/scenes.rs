//! Generated scenes as files.

use sam2unet::data::{Dataset, Synthetic, write_png};
use std::fs;
use std::path::Path;

/// Writes `count` scenes of this side into `images` and `masks` below `folder`, as `000.png` and so on.
pub fn scenes(folder: &Path, seed: u64, count: usize, side: usize) {
    let scenes = Synthetic::new(seed, count, side);
    for part in ["images", "masks"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for i in 0..count {
        write_png(&folder.join(format!("images/{i:03}.png")), &scenes.image(i).unwrap()).unwrap();
        write_png(&folder.join(format!("masks/{i:03}.png")), &scenes.mask(i).unwrap()).unwrap();
    }
}
