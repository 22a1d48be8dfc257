//! A percentile, as NumPy's `percentile` computes it by default: linear between ranks.

/// The value below which `percent` of a hundred lie; NaN of nothing. The values are reordered.
pub(super) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let rank = percent / 100.0 * last as f64;
    let (below, part) = ((rank as usize).min(last), rank.fract());
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    // NumPy comes from the nearer end
    if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `numpy.percentile(numbers, 95)`, NumPy 2.4.6.
    #[test]
    fn as_numpy() {
        let cases: [(&[f64], f64); 5] = [
            (&[3.0], 3.0),
            (&[2.0, 1.0], 1.95),
            (&[5.0, 1.0, 4.0, 2.0, 3.0], 4.8),
            (&[0.0, 0.0, 0.0, 10.0], 8.499999999999996),
            (&[1.0, 7.0, 2.0, 9.0, 4.0, 1.5, 8.0, 0.25, 3.0, 6.0, 5.0], 8.5),
        ];
        for (values, expected) in cases {
            assert_eq!(percentile(&mut values.to_vec(), 95.0), expected, "{values:?}");
        }
        let mut many: Vec<f64> = (0..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut many, 95.0), 190.0);
        assert!(percentile(&mut [], 95.0).is_nan());
    }
}
