//! The learning rate: a cosine over epochs (Loshchilov and Hutter, arXiv 1608.03983).

/// Where the cosine ends (paper's script: 1e-7).
pub const FINAL_RATE: f64 = 1e-7;

/// The learning rate of `epoch` (from 0) on a cosine from `first` to [`FINAL_RATE`] over `horizon`
/// epochs; beyond it the cosine goes up again.
///
/// It is computed as `torch.optim.lr_scheduler.CosineAnnealingLR` computes it, each epoch's rate from
/// the one before: that differs from the closed form in the last bits, and rates should be equal.
pub fn cosine(first: f64, horizon: u64, epoch: u64) -> f64 {
    let horizon = horizon.max(1) as f64;
    let half_turn = |epoch: u64| (std::f64::consts::PI * epoch as f64 / horizon).cos();
    (1..=epoch).fold(first, |rate, epoch| {
        if (epoch as f64 - 1.0 - horizon) % (2.0 * horizon) == 0.0 {
            // the lowest point was before: the ratio below would be 0 / 0
            rate + (first - FINAL_RATE) * (1.0 - (std::f64::consts::PI / horizon).cos()) / 2.0
        } else {
            (1.0 + half_turn(epoch)) / (1.0 + half_turn(epoch - 1)) * (rate - FINAL_RATE) + FINAL_RATE
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_pytorch_to_the_bit() {
        // CosineAnnealingLR(optimiser, 5, eta_min=1e-7) of PyTorch 2.13 from 1e-3
        let expected =
            [0.001, 0.0009045180463377549, 0.0006545430463377549, 0.000345556953662245, 9.558195366224506e-05];
        for (epoch, want) in expected.into_iter().enumerate() {
            assert_eq!(cosine(1e-3, 5, epoch as u64), want);
        }
    }

    #[test]
    fn follows_the_closed_form_down_and_up_again() {
        for horizon in [1, 2, 7, 50] {
            for epoch in 0..3 * horizon {
                let turn = (std::f64::consts::PI * epoch as f64 / horizon as f64).cos();
                let closed = FINAL_RATE + (1e-3 - FINAL_RATE) * (1.0 + turn) / 2.0;
                let got = cosine(1e-3, horizon, epoch);
                assert!((got - closed).abs() < 1e-12, "{epoch} of {horizon}: {got} {closed}");
            }
        }
    }
}
