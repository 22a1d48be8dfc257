//! Files of `tests/data/images` (made by its `make.py`) against what Pillow makes of them.

use crate::support::pictures::{awkward_files, awkward_folder, largest_difference};
use sam2unet::data::{read_grey, read_rgb};
use std::fs;
use std::path::PathBuf;

#[test]
fn awkward_files_read_as_pillow_reads_them() {
    let files = awkward_files(&awkward_folder());
    assert!(files.len() >= 78, "{} files", files.len());
    each_reads_as_pillow_reads_it(&files);
}

#[cfg(feature = "jpeg2000")]
#[test]
fn jpeg_2000_reads_as_pillow_reads_it() {
    let files = awkward_files(&awkward_folder().with_file_name("jpeg2000"));
    assert!(files.len() >= 4, "{} files", files.len());
    each_reads_as_pillow_reads_it(&files);
}

fn each_reads_as_pillow_reads_it(files: &[PathBuf]) {
    let results = fs::read_dir(files[0].with_file_name("expected")).unwrap().count();
    assert_eq!(results, 2 * files.len(), "Pillow's results");
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = |mode| path.with_file_name("expected").join(format!("{name}.{mode}.png"));
        let read = |result: Result<_, _>| result.unwrap_or_else(|error| panic!("{name}: {error}"));
        let rgb = read(read_rgb(path));
        let grey = read_grey(path).unwrap();
        let (rgb_expected, grey_expected) = (read_rgb(&expected("rgb")).unwrap(), read_grey(&expected("l")).unwrap());
        assert_eq!(rgb.size(), rgb_expected.size(), "{name}");
        // Little CMS rounds in steps of its own
        let bound = u8::from(name == "lab.tif");
        assert!(largest_difference(&rgb.data, &rgb_expected.data) <= bound, "{name} as RGB");
        assert!(largest_difference(&grey.data, &grey_expected.data) <= bound, "{name} as grey");
    }
}
