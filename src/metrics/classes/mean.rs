//! Shares and means that may be of nothing.

/// `part / whole`, NaN where the whole is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { f64::NAN } else { part as f64 / whole as f64 }
}

/// A running mean of what is finite.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// The mean of what is finite.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> f64 {
        let mut mean = Self::default();
        values.into_iter().for_each(|value| mean.add(value));
        mean.value()
    }

    /// Adds a value; NaN and infinity are left out.
    pub(super) fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.sum += value;
            self.count += 1;
        }
    }

    /// NaN of nothing.
    pub(super) fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_nan() {
        assert!(share(0, 0).is_nan() && Mean::of([]).is_nan() && Mean::of([f64::NAN, f64::INFINITY]).is_nan());
        assert_eq!((share(0, 2), share(1, 2)), (0.0, 0.5));
        assert_eq!(Mean::of([1.0, f64::NAN, 4.0]), 2.5);
    }
}
