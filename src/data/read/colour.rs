//! Colour spaces to RGB, as Pillow's `convert` computes them.

/// Ink to light. Rounds as Pillow's `MULDIV255`: `t = c * k + 128; (t + t / 256) / 256`.
pub(crate) fn cmyk_to_rgb([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(k);
    [c, m, y].map(|ink| {
        let product = u32::from(ink) * light + 128;
        (light - ((product + (product >> 8)) >> 8)) as u8
    })
}

/// Full-range YCbCr (JFIF) to RGB in Pillow's fixed point of 6 bits, rounded down.
pub(crate) fn ycbcr_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    // each factor's product is rounded as Pillow's tables are: add a half, cut off
    let product = |factor: f64, chroma: u8| (factor * 64.0 * (f64::from(chroma) - 128.0) + 0.5) as i32;
    let y = i32::from(y);
    let r = y + (product(1.402, cr) >> 6);
    let g = y + ((product(-0.344_14, cb) + product(-0.714_14, cr)) >> 6);
    let b = y + (product(1.772, cb) >> 6);
    [r, g, b].map(|v| v.clamp(0, 255) as u8)
}

/// Full-range YCbCr to RGB as libtiff computes it, in fixed point of 16 bits: up to 1 away from [`ycbcr_to_rgb`].
pub(crate) fn ycbcr_to_rgb_of_libtiff([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let fixed = |factor: f64| (factor * 65536.0 + 0.5) as i32;
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    let y = i32::from(y);
    let green_cr = -fixed(0.299 * 1.402 / 0.587) * cr;
    let green_cb = -fixed(0.114 * 1.772 / 0.587) * cb + HALF;
    let r = y + ((fixed(1.402) * cr + HALF) >> 16);
    let g = y + ((green_cb + green_cr) >> 16);
    let b = y + ((fixed(1.772) * cb + HALF) >> 16);
    [r, g, b].map(|v| v.clamp(0, 255) as u8)
}

/// CIE L*a*b* of white D50 to sRGB; the values are those of [`Samples::Lab`](super::stored::Samples). As Pillow does it, through
/// Little CMS: that computes a grid of 33 values to a side, and interpolates in it, which shows where colours leave
/// sRGB. The two differ by at most 1.
pub(crate) fn lab_to_rgb(data: &[u8]) -> Vec<u8> {
    const SIDE: usize = 33;
    let step = |i: usize| i as f32 / (SIDE - 1) as f32;
    let node = |i: usize| {
        let (lightness, a, b) = (step(i / SIDE / SIDE), step(i / SIDE % SIDE), step(i % SIDE));
        exact_lab([lightness * 100.0, a * 255.0 - 128.0, b * 255.0 - 128.0])
    };
    let grid: Vec<[f32; 3]> = (0..SIDE * SIDE * SIDE).map(node).collect();
    let pixel = |&pixel: &[u8; 3]| {
        let place = pixel.map(|v| f32::from(v) / 255.0 * (SIDE - 1) as f32);
        let corner = place.map(|v| (v as usize).min(SIDE - 2));
        let rest: [f32; 3] = std::array::from_fn(|axis| place[axis] - corner[axis] as f32);
        // in a tetrahedron: from the lower corner to the upper one along the axes, the longest way first
        let mut axes = [0, 1, 2];
        axes.sort_by(|&one, &other| rest[other].total_cmp(&rest[one]));
        let mut at = (corner[0] * SIDE + corner[1]) * SIDE + corner[2];
        let mut value = grid[at];
        for axis in axes {
            let next = at + [SIDE * SIDE, SIDE, 1][axis];
            (0..3).for_each(|c| value[c] += (grid[next][c] - grid[at][c]) * rest[axis]);
            at = next;
        }
        value.map(|v| (v * 255.0 + 0.5) as u8)
    };
    data.as_chunks::<3>().0.iter().flat_map(pixel).collect()
}

/// L* of 0..=100 and signed a* and b* to sRGB of 0..=1, by the formulas.
fn exact_lab([lightness, a, b]: [f32; 3]) -> [f32; 3] {
    const WHITE: [f32; 3] = [0.964_2, 1.0, 0.824_9];
    // XYZ of white D50 to linear sRGB (Bradford adaptation)
    const TO_RGB: [[f32; 3]; 3] =
        [[3.134_136, -1.617_386, -0.490_662], [-0.978_795, 1.916_254, 0.033_443], [0.071_955, -0.228_977, 1.405_386]];
    let y = (lightness + 16.0) / 116.0;
    let axes = [y + a / 500.0, y, y - b / 200.0];
    let cube = |t: f32| if t > 24.0 / 116.0 { t * t * t } else { (t - 16.0 / 116.0) * 108.0 / 841.0 };
    let xyz: [f32; 3] = std::array::from_fn(|i| WHITE[i] * cube(axes[i]));
    TO_RGB.map(|row| {
        let linear = (row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2]).clamp(0.0, 1.0);
        if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are Pillow's 13.0 `convert("RGB")`.
    #[test]
    fn colours_are_those_of_pillow() {
        assert_eq!(cmyk_to_rgb([0, 128, 255, 10]), [245, 122, 0]);
        assert_eq!(cmyk_to_rgb([1, 2, 3, 254]), [1, 1, 1]);
        assert_eq!(cmyk_to_rgb([200, 100, 50, 25]), [50, 140, 185]);
        for (stored, rgb) in [
            ([128, 128, 128], [128, 128, 128]),
            ([100, 30, 220], [228, 68, 0]),
            ([200, 255, 0], [20, 247, 255]),
            ([16, 1, 129], [17, 59, 0]),
        ] {
            assert_eq!(ycbcr_to_rgb(stored), rgb);
            assert!(rgb.iter().zip(ycbcr_to_rgb_of_libtiff(stored)).all(|(a, b)| a.abs_diff(b) <= 1), "{stored:?}");
        }
        for (stored, rgb) in [
            ([255, 128, 128], [254, 255, 254]),
            ([128, 128, 128], [119, 119, 119]),
            ([150, 200, 60], [213, 78, 255]),
            ([0, 128, 128], [1, 0, 1]),
            ([212, 69, 141], [38, 235, 180]),
        ] {
            assert!(lab_to_rgb(&stored).iter().zip(rgb).all(|(a, b): (&u8, u8)| a.abs_diff(b) <= 1), "{stored:?}");
        }
    }
}
