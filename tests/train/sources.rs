//! The images that a run is given.

use std::fs;
use std::path::Path;

use sam2unet::data::{Grey, Rgb, write_png};
use sam2unet::train::{Layer, Note, Sources, resolve};

fn picture(path: &Path, width: usize, height: usize) {
    write_png(path, &Rgb { width, height, data: vec![90; width * height * 3] }).unwrap();
}

#[test]
fn bad_folders_are_refused_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let (images, masks) = (dir.path().join("images"), dir.path().join("masks"));
    fs::create_dir_all(&images).unwrap();
    fs::create_dir_all(&masks).unwrap();
    let named = toml::Table::from_iter(
        [("images", &images), ("masks", &masks)]
            .map(|(key, path)| (key.to_string(), toml::Value::from(path.to_str().unwrap()))),
    );
    let settings = resolve(&[Layer::given(named).unwrap()]).unwrap().settings;
    let refused = || Sources::open(&settings, 2, None, &mut |_, _| ()).unwrap_err().to_string();
    assert!(refused().contains("no image files"), "{}", refused());
    for name in ["a", "b"] {
        picture(&images.join(format!("{name}.png")), 20, 10);
    }
    let mask = |name: &str, width| {
        let grey = Grey { width, height: 10, data: vec![255; width * 10] };
        write_png(&masks.join(format!("{name}.png")), &grey).unwrap();
    };
    mask("a", 20);
    assert!(refused().contains("b.png"), "{}", refused());
    mask("b", 10);
    assert!(refused().contains("20x10") && refused().contains("10x10"), "{}", refused());
    mask("b", 20);
    mask("nobody", 20);
    let opened = Sources::open(&settings, 2, None, &mut |_, _| ()).unwrap();
    let told: Vec<_> = opened.notes.iter().map(Note::to_string).collect();
    assert_eq!((opened.training.len(), told.len()), (2, 2), "{told:?}");
    assert!(told[1].starts_with("1 masks have no image and are not used (nobody.png)"), "{told:?}");
    let whole = fs::read(images.join("b.png")).unwrap();
    fs::write(images.join("b.png"), &whole[..whole.len() / 2]).unwrap();
    assert!(refused().contains("b.png"), "{}", refused());
}
