//! The plain twin of a Hiera block.

/// The error function by its series and, far out, its continued fraction (Abramowitz and Stegun 7.1.5, 7.1.14).
fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let f = (1..60).rev().fold(x.abs(), |f, n| x.abs() + f64::from(n) / 2.0 / f);
        x.signum() * (1.0 - (-x * x).exp() / f / std::f64::consts::PI.sqrt())
    }
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

/// Rows of `x` times a weight `(out, in)`, plus a bias.
fn linear(x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let (inputs, outputs) = (w.len() / b.len(), b.len());
    assert_eq!((w.len(), x.len() % inputs), (inputs * outputs, 0));
    let rows = x.chunks_exact(inputs);
    rows.flat_map(|row| {
        (0..outputs)
            .map(|o| b[o] + row.iter().zip(&w[o * inputs..][..inputs]).map(|(x, w)| x * w).sum::<f64>())
            .collect::<Vec<_>>()
    })
    .collect()
}

fn layer_norm(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let n = gamma.len();
    let rows = x.chunks_exact(n);
    rows.flat_map(|row| {
        let mean = row.iter().sum::<f64>() / n as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        let scaled = row.iter().zip(gamma).zip(beta);
        scaled.map(|((v, g), b)| (v - mean) / (variance + 1e-6).sqrt() * g + b).collect::<Vec<_>>()
    })
    .collect()
}

/// A Hiera block as the reference has it: padding laid out, masked nowhere.
pub struct BlockTwin {
    pub side: usize,
    pub c: usize,
    pub co: usize,
    pub heads: usize,
    pub window: usize,
    pub pool: bool,
    pub frozen: Vec<Vec<f64>>,
    /// The least distance between a pool's largest number and another one.
    pub margin: std::cell::Cell<f64>,
}

impl BlockTwin {
    fn pool(&self, x: &[f64], h: usize, c: usize) -> Vec<f64> {
        let half = h / 2;
        (0..half * half * c)
            .map(|i| {
                let (ch, px, py) = (i % c, i / c % half, i / c / half);
                let at = |dy: usize, dx: usize| x[((2 * py + dy) * h + 2 * px + dx) * c + ch];
                let four = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
                let largest = four.into_iter().fold(f64::NEG_INFINITY, f64::max);
                // padded tokens are equal, and which of them is taken does not matter
                let others = four.into_iter().filter(|v| *v != largest);
                self.margin.set(others.fold(self.margin.get(), |least, v| least.min(largest - v)));
                largest
            })
            .collect()
    }

    /// Attention over one padded window of `w x w` rows of `c` numbers.
    fn attend(&self, x: &[f64], w: usize) -> Vec<f64> {
        let (co, d) = (self.co, self.co / self.heads);
        let qkv = linear(x, &self.frozen[2], &self.frozen[3]);
        let part = |k: usize| -> Vec<f64> {
            qkv.chunks_exact(3 * co).flat_map(|row| row[k * co..(k + 1) * co].to_vec()).collect()
        };
        let (mut q, k, v) = (part(0), part(1), part(2));
        if self.pool {
            q = self.pool(&q, w, co);
        }
        let mut out = vec![0.0; q.len()];
        for head in 0..self.heads {
            for (q, out) in q.chunks_exact(co).zip(out.chunks_exact_mut(co)) {
                let span = head * d..(head + 1) * d;
                let scores: Vec<f64> = k
                    .chunks_exact(co)
                    .map(|k| {
                        q[span.clone()].iter().zip(&k[span.clone()]).map(|(q, k)| q * k).sum::<f64>()
                            / (d as f64).sqrt()
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, v) in weights.iter().zip(v.chunks_exact(co)) {
                    for (o, v) in out[span.clone()].iter_mut().zip(&v[span.clone()]) {
                        *o += weight / total * v;
                    }
                }
            }
        }
        linear(&out, &self.frozen[4], &self.frozen[5])
    }

    pub fn run(&self, x: &[f64], adapter: &[Vec<f64>]) -> Vec<f64> {
        let (h, c, co) = (self.side, self.c, self.co);
        let hidden: Vec<f64> = linear(x, &adapter[0], &adapter[1]).into_iter().map(gelu).collect();
        let up: Vec<f64> = linear(&hidden, &adapter[2], &adapter[3]).into_iter().map(gelu).collect();
        let z: Vec<f64> = x.iter().zip(&up).map(|(x, u)| x + u).collect();
        let normed = layer_norm(&z, &self.frozen[0], &self.frozen[1]);
        let mut a = if self.pool { self.pool(&linear(&normed, &self.frozen[12], &self.frozen[13]), h, co) } else { z };
        let w = if self.window == 0 { h } else { self.window };
        let (windows, stride) = (h.div_ceil(w), if self.pool { 2 } else { 1 });
        let out_side = h / stride;
        for window in 0..windows * windows {
            let (y0, x0) = (window / windows * w, window % windows * w);
            let mut padded = vec![0.0; w * w * c];
            for i in 0..w * w {
                let (y, x) = (y0 + i / w, x0 + i % w);
                if y < h && x < h {
                    padded[i * c..(i + 1) * c].copy_from_slice(&normed[(y * h + x) * c..][..c]);
                }
            }
            let out = self.attend(&padded, w);
            let ow = w / stride;
            for i in 0..ow * ow {
                let (y, x) = (y0 / stride + i / ow, x0 / stride + i % ow);
                if y < out_side && x < out_side {
                    for ch in 0..co {
                        a[(y * out_side + x) * co + ch] += out[i * co + ch];
                    }
                }
            }
        }
        let normed = layer_norm(&a, &self.frozen[6], &self.frozen[7]);
        let hidden: Vec<f64> = linear(&normed, &self.frozen[8], &self.frozen[9]).into_iter().map(gelu).collect();
        let mlp = linear(&hidden, &self.frozen[10], &self.frozen[11]);
        a.iter().zip(mlp).map(|(a, m)| a + m).collect()
    }
}
