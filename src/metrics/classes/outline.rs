//! The outline of a region: its edge, one pixel wide, and its rim, several pixels wide.

use super::region::Region;

/// The pixels of a region that have one of their four neighbours outside of it.
pub(super) fn edge(region: &Region) -> Region {
    let (width, mut edge) = (region.width, region.pixels.clone());
    let rows: Vec<&[u8]> = region.pixels.chunks_exact(width).collect();
    // pixels at the ends of the region's box have a neighbour outside
    for (three, edge) in rows.windows(3).zip(edge.chunks_exact_mut(width).skip(1)) {
        let [above, here, below] = [three[0], three[1], three[2]];
        let beside = here.windows(3).map(|pixels| pixels[0] & pixels[2]);
        let inner = edge.iter_mut().zip(above).zip(below).skip(1);
        for (((pixel, above), below), beside) in inner.zip(beside) {
            *pixel &= !(above & below & beside);
        }
    }
    Region { width, pixels: edge }
}

/// The pixels of a region that `reach` erosions with 3 x 3 pixels take away: those with a pixel outside of the region
/// at most so many rows and columns away.
pub(super) fn rim(region: &Region, reach: usize) -> Region {
    let Region { width, pixels } = region;
    let (width, side) = (*width, 2 * reach + 1);
    let mut rim = pixels.clone();
    // for each column, how many rows up to this one have nothing outside within reach to the left and right
    let mut clear_rows = vec![0; width];
    for (y, row) in pixels.chunks_exact(width).enumerate() {
        let mut clear = 0;
        for (right, &pixel) in row.iter().enumerate() {
            clear = if pixel == 1 { clear + 1 } else { 0 };
            if let Some(x) = right.checked_sub(reach) {
                clear_rows[x] = if clear >= side { clear_rows[x] + 1 } else { 0 };
            }
        }
        // columns nearer to the right end are never clear
        if let Some(middle) = y.checked_sub(reach) {
            let inner = rim[middle * width..][..width].iter_mut().zip(&clear_rows);
            inner.filter(|(_, rows)| **rows >= side).for_each(|(pixel, _)| *pixel = 0);
        }
    }
    Region { width, pixels: rim }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(rows: &[&str]) -> Region {
        let pixels = rows.iter().flat_map(|row| row.bytes().map(|letter| u8::from(letter == b'#'))).collect();
        Region { width: rows[0].len(), pixels }
    }

    #[test]
    fn edges_look_at_four_neighbours() {
        let full = region(&["####", "####", "####", "###."]);
        assert_eq!(edge(&full), region(&["####", "#..#", "#..#", "###."]));
        assert_eq!(edge(&region(&["###"])), region(&["###"]));
    }

    #[test]
    fn rims_look_at_eight_neighbours() {
        let full = region(&["#####", "#####", "#####", "#####", "####."]);
        assert_eq!(rim(&full, 1), region(&["#####", "#...#", "#...#", "#..##", "####."]));
        assert_eq!(rim(&full, 2), region(&["#####", "#####", "#####", "#####", "####."]));
    }

    /// Every pixel looks around itself.
    #[test]
    fn equal_to_a_plain_search() {
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for case in 0..300 {
            let (width, height) = (1 + next(20) as usize, 1 + next(20) as usize);
            let rarity = 2 + next(60);
            let pixels: Vec<u8> = (0..width * height).map(|_| u8::from(next(rarity) != 0)).collect();
            let region = Region { width, pixels };
            let is_in = |y: i64, x: i64| {
                let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
                inside && region.pixels[y as usize * width + x as usize] == 1
            };
            let around = |reach: i64, corners: bool| -> Vec<u8> {
                let kept = |at: usize| {
                    let (y, x) = ((at / width) as i64, (at % width) as i64);
                    let outside = |(down, right): (i64, i64)| {
                        (corners || down.abs() + right.abs() <= reach) && !is_in(y + down, x + right)
                    };
                    let near = (-reach..=reach).flat_map(|down| (-reach..=reach).map(move |right| (down, right)));
                    u8::from(is_in(y, x) && near.into_iter().any(outside))
                };
                (0..width * height).map(kept).collect()
            };
            assert_eq!(edge(&region).pixels, around(1, false), "case {case}");
            for reach in 1..=4 {
                assert_eq!(rim(&region, reach).pixels, around(reach as i64, true), "case {case}, reach {reach}");
            }
        }
    }
}
