//! Overlays and contact sheets.

use crate::support::pictures::detailed;
use sam2unet::data::{Grey, Rgb, SheetRow, contact_sheet, overlay};

#[test]
fn an_overlay_touches_the_mask_alone_and_a_sheet_shows_three_tiles_a_row() {
    let image = detailed(40, 30);
    let mut mask = Grey::filled(40, 30, [0]);
    for y in 5..15 {
        for x in 10..20 {
            mask.set(x, y, [255]);
        }
    }
    let painted = overlay(&image, &mask);
    for y in 0..30 {
        for x in 0..40 {
            let inside = (5..15).contains(&y) && (10..20).contains(&x);
            assert!(inside || painted.at(x, y) == image.at(x, y), "({x}, {y})");
        }
    }
    assert_eq!(painted.at(10, 9), painted.at(19, 9), "the contour is of one colour");
    assert_ne!(painted.at(14, 9), image.at(14, 9), "the inside is tinted");

    let [image, prediction] = [[10, 20, 30], [99; 3]].map(|colour| Rgb::filled(9, 7, colour));
    let row = SheetRow { image, prediction, truth: mask.to_rgb() };
    let sheet = contact_sheet(&[row.clone(), row], 32);
    assert_eq!(sheet.size(), (3 * 32 + 4 * 2, 2 * 34 + 2));
    assert_eq!(sheet.at(2, 2), [10, 20, 30]);
    assert_eq!(sheet.at(36, 40), [99; 3]);
    assert_eq!(sheet.at(0, 0), [255; 3]);
}
