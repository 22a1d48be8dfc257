//! The transforms of Winograd's minimal filtering F(2x2, 3x3) (arXiv 1509.09308), channel by channel.

use super::dispatch::vectorised;
use super::fold::VECTOR;

vectorised! {
    /// The input transform `B^T d B`, from a tile's 4x4 pixels (whole vectors of channels): the 16 results of a channel are
    /// written to `transformed`, each `plane` numbers after the one before. They are rows of 16 products' left operands.
    pub fn transform_input(pixels: &[&[f32]; 16], plane: usize, transformed: &mut [f32]) {
        let channels = pixels[0].len();
        for at in (0..channels / VECTOR).map(|i| i * VECTOR) {
            let mut d = [[0.0; VECTOR]; 16];
            for (d, pixel) in d.iter_mut().zip(pixels) {
                d.copy_from_slice(&pixel[at..at + VECTOR]);
            }
            let mut rows = [[0.0; VECTOR]; 16];
            for y in 0..4 {
                for i in 0..VECTOR {
                    let [a, b, c, e] = [d[4 * y][i], d[4 * y + 1][i], d[4 * y + 2][i], d[4 * y + 3][i]];
                    (rows[4 * y][i], rows[4 * y + 1][i]) = (a - c, b + c);
                    (rows[4 * y + 2][i], rows[4 * y + 3][i]) = (c - b, b - e);
                }
            }
            for x in 0..4 {
                let mut columns = [[0.0; VECTOR]; 4];
                for i in 0..VECTOR {
                    let [a, b, c, e] = [rows[x][i], rows[4 + x][i], rows[8 + x][i], rows[12 + x][i]];
                    (columns[0][i], columns[1][i], columns[2][i], columns[3][i]) = (a - c, b + c, c - b, b - e);
                }
                for (y, column) in columns.iter().enumerate() {
                    transformed[(4 * y + x) * plane + at..][..VECTOR].copy_from_slice(column);
                }
            }
        }
    }

    /// The output transform `A^T m A`: from a tile's 16 products, `plane` numbers apart, to its 2x2 pixels in order,
    /// plus a bias for each channel (whole vectors of them), then a ReLU if asked for.
    pub fn transform_output(products: &[f32], plane: usize, bias: &[f32], relu: bool, pixels: &mut [f32]) {
        let least = if relu { 0.0 } else { f32::NEG_INFINITY };
        for at in (0..bias.len() / VECTOR).map(|i| i * VECTOR) {
            let mut rows = [[0.0; VECTOR]; 8];
            for y in 0..4 {
                let m: [&[f32]; 4] = [0, 1, 2, 3].map(|x| &products[(4 * y + x) * plane + at..][..VECTOR]);
                for i in 0..VECTOR {
                    rows[2 * y][i] = m[0][i] + m[1][i] + m[2][i];
                    rows[2 * y + 1][i] = m[1][i] - m[2][i] - m[3][i];
                }
            }
            let bias_here = &bias[at..][..VECTOR];
            for x in 0..2 {
                let [mut above, mut below] = [[0.0; VECTOR]; 2];
                for i in 0..VECTOR {
                    let [a, b, c, e] = [rows[x][i], rows[2 + x][i], rows[4 + x][i], rows[6 + x][i]];
                    let (first, second) = (a + b + c + bias_here[i], b - c - e + bias_here[i]);
                    // not `max`, which would turn a NaN into a number
                    above[i] = if first < least { least } else { first };
                    below[i] = if second < least { least } else { second };
                }
                pixels[x * bias.len() + at..][..VECTOR].copy_from_slice(&above);
                pixels[(2 + x) * bias.len() + at..][..VECTOR].copy_from_slice(&below);
            }
        }
    }
}
