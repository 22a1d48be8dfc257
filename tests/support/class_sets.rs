//! One small set of several classes, in every form in which labels come.

use sam2unet::data::{ClassKind, Classes, Grey, Rgb, voc_palette, write_index, write_png};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The classes that exclude each other, the background first.
pub const NAMES: [&str; 4] = ["background", "round", "square", "line"];
/// Width and height of the images.
pub const SIZE: (usize, usize) = (70, 50);
/// Images of the set.
pub const IMAGES: usize = 4;

/// The set in a temporary folder: `images`, and what is written of its labels.
pub struct ClassSet {
    root: TempDir,
}

/// The class of a pixel, 255 where it is ignored.
fn class_at(image: usize, x: usize, y: usize) -> u8 {
    let (dx, dy) = (x as i64 - 20 - 5 * image as i64, y as i64 - 20);
    if x < 2 {
        255
    } else if dx * dx + dy * dy < 120 {
        1
    } else if (45..60).contains(&x) && (10 + image..25).contains(&y) {
        2
    } else if (40..43).contains(&y) && x > 10 {
        3
    } else {
        0
    }
}

/// The index map of an image.
pub fn index_map(image: usize) -> Grey {
    let (width, height) = SIZE;
    let data = (0..width * height).map(|at| class_at(image, at % width, at / width)).collect();
    Grey { width, height, data }
}

/// Where a class is, white; 255 for what is ignored.
pub fn plane(image: usize, class: u8) -> Grey {
    let map = index_map(image);
    Grey { data: map.data.iter().map(|v| if *v == class { 255 } else { 0 }).collect(), ..map }
}

/// Run lengths down the columns of a plane, first of what is not set.
fn runs(plane: &Grey) -> Vec<usize> {
    let (mut counts, mut set) = (vec![0], false);
    for x in 0..plane.width {
        for y in 0..plane.height {
            if (plane.data[y * plane.width + x] > 0) != set {
                set = !set;
                counts.push(0);
            }
            *counts.last_mut().unwrap() += 1;
        }
    }
    counts
}

impl ClassSet {
    /// The images alone, which look like their classes.
    pub fn new() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("images")).unwrap();
        for image in 0..IMAGES {
            let map = index_map(image);
            let mut picture = Rgb::filled(map.width, map.height, [0; 3]);
            for y in 0..map.height {
                for x in 0..map.width {
                    let class = map.data[y * map.width + x] % 4;
                    picture.set(x, y, [60 * class, (x * 3) as u8, (y * 5 + image) as u8]);
                }
            }
            write_png(&root.path().join(format!("images/{image}.png")), &picture).unwrap();
        }
        Self { root }
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn each(&self, folder: &str, write: impl Fn(&Path, usize)) -> PathBuf {
        let folder = self.at(folder);
        fs::create_dir_all(&folder).unwrap();
        (0..IMAGES).for_each(|image| write(&folder.join(format!("{image}.png")), image));
        folder
    }

    /// Grey PNG whose values are numbers of classes.
    pub fn index(&self) -> PathBuf {
        self.each("index", |path, image| write_png(path, &index_map(image)).unwrap())
    }

    /// PNG with a palette, whose indices are numbers of classes.
    pub fn palette(&self) -> PathBuf {
        let classes = Classes::named(ClassKind::Exclusive, NAMES.map(String::from)).unwrap();
        self.each("palette", |path, image| write_index(path, &index_map(image), &classes).unwrap())
    }

    /// Grey PNG with other values, and the file of what they mean.
    pub fn grey_table(&self) -> (PathBuf, PathBuf) {
        let level = |class: u8| [0, 77, 150, 255].get(usize::from(class)).copied().unwrap_or(9);
        let folder = self.each("grey", |path, image| {
            let map = index_map(image);
            let data = map.data.iter().map(|class| level(*class)).collect();
            write_png(path, &Grey { data, ..map }).unwrap();
        });
        let table = self.at("grey.toml");
        fs::write(&table, "background = 0\nround = 77\nsquare = [150, 151]\nline = 255\nignore = 9\n").unwrap();
        (folder, table)
    }

    /// PNG in colours, and the file of what they mean.
    pub fn colour_table(&self) -> (PathBuf, PathBuf) {
        let folder = self.each("colours", |path, image| {
            let map = index_map(image);
            let colours = voc_palette();
            let data = map.data.iter().flat_map(|class| colours[usize::from(*class)]).collect();
            write_png(path, &Rgb { width: map.width, height: map.height, data }).unwrap();
        });
        let table = self.at("colours.toml");
        let [round, square, line, ignored] = [1, 2, 3, 255].map(|class| voc_palette()[class]);
        let text = format!(
            "background = 0\nround = {round:?}\nsquare = [{square:?}, \"#010203\"]\nline = {line:?}\n\
             ignore = {ignored:?}\n"
        );
        fs::write(&table, text).unwrap();
        (folder, table)
    }

    /// A folder of masks for each class, and one of what is ignored.
    pub fn class_folders(&self) -> PathBuf {
        for (class, name) in [(1, NAMES[1]), (2, NAMES[2]), (3, NAMES[3]), (255, "ignore")] {
            self.each(&format!("folders/{name}"), |path, image| write_png(path, &plane(image, class)).unwrap());
        }
        self.at("folders")
    }

    /// A mask for each class, told by the end of its name.
    pub fn suffixes(&self) -> PathBuf {
        for (class, name) in [(1, NAMES[1]), (2, NAMES[2]), (3, NAMES[3]), (255, "ignore")] {
            self.each("suffixes", |path, image| {
                let path = path.with_file_name(format!("{image}_{name}.png"));
                write_png(&path, &plane(image, class)).unwrap();
            });
        }
        self.at("suffixes")
    }

    /// COCO's annotations, with run lengths; what is ignored is a crowd.
    pub fn coco(&self) -> PathBuf {
        let images: Vec<Value> = (0..IMAGES)
            .map(|image| json!({"id": image, "file_name": format!("{image}.png"), "width": SIZE.0, "height": SIZE.1}))
            .collect();
        let mut annotations = Vec::new();
        for image in 0..IMAGES {
            for (category, class) in [(1, 1), (2, 2), (3, 3), (1, 255)] {
                annotations.push(json!({
                    "id": annotations.len(), "image_id": image, "category_id": category,
                    "iscrowd": u8::from(class == 255),
                    "segmentation": {"size": [SIZE.1, SIZE.0], "counts": runs(&plane(image, class))}
                }));
            }
        }
        let categories: Vec<Value> = (1..4).map(|id| json!({"id": id, "name": NAMES[id]})).collect();
        let file = self.at("coco.json");
        let all = json!({"images": images, "annotations": annotations, "categories": categories});
        fs::write(&file, all.to_string()).unwrap();
        file
    }
}
