//! Attention against a plain loop in double precision.

use super::Attention;
use crate::kernels::cpu::attention::shape::{AttentionShape, WindowOrder};
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::cpu::gemm::test_numbers::numbers;
use crate::kernels::extent::Extent;
use crate::kernels::precision::Precision;

fn rounded(x: &[f32], precision: Precision) -> Vec<f64> {
    let halves = Packed::computed_in(precision) == Precision::Bf16;
    x.iter().map(|x| f64::from(if halves { half::bf16::from_f32(*x).to_f32() } else { *x })).collect()
}

/// The reference implementation in double precision, padded tokens and all: the outputs in the map's order, and the gradient of
/// `sum(outputs * probe)` with respect to the projections' rows. `whole` are these before they were rounded: what is
/// pooled.
fn twin(a: &AttentionShape, whole: &[f32], qkv: &[f64], bias: &[f64], probe: &[f64]) -> [Vec<f64>; 2] {
    let (c, d, Extent { height, width }) = (a.channels(), a.dim, a.extent);
    let (row, step) = (3 * c, if a.pool { 2 } else { 1 });
    let maps = qkv.len() / row / (height * width);
    let [lines, columns] = if a.window == 0 { [height, width] } else { [a.window; 2] };
    let (mut out, mut gradient) = (vec![0.0; probe.len()], vec![0.0; qkv.len()]);
    let corners = (0..height).step_by(lines).flat_map(|y| (0..width).step_by(columns).map(move |x| (y, x)));
    let corners: Vec<_> = corners.collect();
    for (map, head, (y0, x0)) in (0..maps)
        .flat_map(|map| (0..a.heads).map(move |head| (map, head)))
        .flat_map(|(map, head)| corners.iter().map(move |corner| (map, head, *corner)))
    {
        // Where the numbers of a token begin, if it is real.
        let token =
            |y: usize, x: usize| (y < height && x < width).then(|| ((map * height + y) * width + x) * row + head * d);
        let tokens: Vec<Option<usize>> =
            (0..lines * columns).map(|i| token(y0 + i / columns, x0 + i % columns)).collect();
        let read = |token: &Option<usize>, part: usize, i: usize| match token {
            Some(start) => qkv[start + part * c + i],
            None => bias[part * c + head * d + i],
        };
        for (y, x) in (y0..(y0 + lines).min(height))
            .step_by(step)
            .flat_map(|y| (x0..(x0 + columns).min(width)).step_by(step).map(move |x| (y, x)))
        {
            // Of each number of the query the token that it is read from: the largest of four.
            let from: Vec<usize> = (0..d)
                .map(|i| {
                    let four = (0..step * step).map(|t| token(y + t / step, x + t % step).unwrap() + i);
                    four.reduce(|best, other| if whole[other] > whole[best] { other } else { best }).unwrap()
                })
                .collect();
            let scale = 1.0 / (d as f64).sqrt();
            let score = |token| scale * (0..d).map(|i| qkv[from[i]] * read(token, 1, i)).sum::<f64>();
            let e: Vec<f64> = tokens.iter().map(|token| score(token).exp()).collect();
            let p: Vec<f64> = e.iter().map(|v| v / e.iter().sum::<f64>()).collect();
            let at = ((map * (height / step) + y / step) * (width / step) + x / step) * c + head * d;
            let g = &probe[at..at + d];
            for i in 0..d {
                out[at + i] = p.iter().zip(&tokens).map(|(p, token)| p * read(token, 2, i)).sum();
            }
            let gp: Vec<f64> = tokens.iter().map(|t| (0..d).map(|i| g[i] * read(t, 2, i)).sum()).collect();
            let mean: f64 = p.iter().zip(&gp).map(|(p, g)| p * g).sum();
            for (j, token) in tokens.iter().enumerate() {
                let gs = scale * p[j] * (gp[j] - mean);
                for i in 0..d {
                    gradient[from[i]] += gs * read(token, 1, i);
                    if let Some(start) = token {
                        gradient[start + c + i] += gs * qkv[from[i]];
                        gradient[start + 2 * c + i] += p[j] * g[i];
                    }
                }
            }
        }
    }
    [out, gradient]
}

/// Rows in the map's order.
fn in_map_order(order: WindowOrder, data: &[f32], parts: usize, extent: Extent, channels: usize) -> Vec<f32> {
    let row = channels * parts;
    let mut rows = vec![0.0; data.len()];
    for (data, rows) in data.chunks(extent.area() * row).zip(rows.chunks_mut(extent.area() * row)) {
        for (t, to) in rows.chunks_exact_mut(row).enumerate() {
            order.gather(data, parts, t / extent.width, t % extent.width, to);
        }
    }
    rows
}

fn close(got: &[f32], want: &[f64], bound: f64, what: &str) {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*g) - w).abs() < bound * largest, "{what}, number {i}: {g}, twin {w}");
    }
}

#[test]
fn attention_agrees_with_the_plain_twin_of_its_rounded_inputs() {
    let square =
        [(7, 4, 2, 5, false), (8, 8, 1, 72, false), (6, 4, 2, 8, true), (8, 4, 3, 3, true), (13, 0, 1, 9, false)];
    let square = square.map(|(side, window, heads, dim, pool)| ((side, side), window, heads, dim, pool));
    let other = [
        ((6, 10), 4, 2, 5, false),
        ((5, 7), 3, 1, 8, false),
        ((5, 7), 0, 2, 4, false),
        ((6, 10), 4, 2, 8, true),
        ((10, 6), 4, 1, 3, true),
        ((6, 10), 0, 1, 7, true),
    ];
    for ((height, width), window, heads, dim, pool) in square.into_iter().chain(other) {
        let extent = Extent { height, width };
        for precision in [Precision::F32, Precision::Bf16] {
            let channels = heads * dim;
            let bias = numbers(3 * channels, 1);
            let shape = AttentionShape { extent, window, heads, dim, pool };
            let attention = Attention { shape, bias: &bias, precision };
            let qkv: Vec<f32> = numbers(2 * extent.area() * 3 * channels, 2).iter().map(|v| 2.0 * v).collect();
            let outputs = 2 * channels * extent.area() / if pool { 4 } else { 1 };
            let probe = numbers(outputs, 3);
            let [out, gradient] =
                twin(&shape, &qkv, &rounded(&qkv, precision), &rounded(&bias, precision), &rounded(&probe, precision));
            let out_extent = shape.query_extent();
            let mut got = vec![f32::NAN; outputs];
            attention.forward(&qkv, &mut got);
            let [value_bound, gradient_bound] = match Packed::computed_in(precision) {
                // Weights and their gradients are rounded too.
                Precision::Bf16 => [6e-3, 1e-2],
                _ => [5e-6, 1.5e-5],
            };
            let what = format!("{height} {width} {window} {heads} {dim} {pool} {precision:?}");
            close(&in_map_order(shape.query_order(), &got, 1, out_extent, channels), &out, value_bound, &what);
            let order = shape.query_order();
            let mut gout = vec![0.0; outputs];
            let per_map = out_extent.area() * channels;
            for (rows, sorted) in probe.chunks(per_map).zip(gout.chunks_mut(per_map)) {
                for (t, row) in rows.chunks_exact(channels).enumerate() {
                    for (start, part) in
                        order.starts(1, t / out_extent.width, t % out_extent.width).zip(row.chunks_exact(dim))
                    {
                        sorted[start..start + dim].copy_from_slice(part);
                    }
                }
            }
            let mut got = vec![f32::NAN; qkv.len()];
            attention.backward(&qkv, &gout, &mut got);
            close(&in_map_order(shape.key_order(), &got, 3, extent, channels), &gradient, gradient_bound, &what);
        }
    }
}
