//! Index maps that pycocotools and Pillow made of the same files.

use crate::support::shared::shared;
use sam2unet::data::annotations::{Annotated, Coco, Labelme};
use sam2unet::data::read_grey;

#[test]
fn coco_files_give_pycocotools_index_maps() {
    let Some(folder) = shared("golden/multiclass/annotations") else { return };
    let coco = Coco::read(&folder.join("coco.json"), None).unwrap();
    assert_eq!(coco.classes().with_background(), ["background", "person", "dog", "bowl"]);
    for (number, image) in coco.listed().iter().enumerate() {
        let expected = read_grey(&folder.join(format!("coco_{}", image.file_name))).unwrap();
        let painted = coco.drawing(number, expected.size()).unwrap().exclusive();
        assert!(painted == expected, "{}", image.file_name);
    }
    assert_eq!(coco.images(), 3);
}

#[test]
fn labelme_files_give_pillows_index_map() {
    let Some(folder) = shared("golden/multiclass/annotations") else { return };
    let names = ["_background_", "person", "dog", "bowl"].map(str::to_string);
    let labelme = Labelme::read(&[Some(folder.join("labelme.json"))], Some(&names)).unwrap();
    assert_eq!(labelme.classes().with_background(), names);
    let expected = read_grey(&folder.join("labelme.png")).unwrap();
    let painted = labelme.drawing(0, expected.size()).unwrap().exclusive();
    assert!(painted == expected);
}
