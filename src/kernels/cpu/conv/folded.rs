//! Convolution and batch norm in inference: one convolution of folded weights, which are kept from one inference to the next.

use super::winograd::Winograd;
use crate::kernels::batch_norm::EPSILON;
use crate::kernels::conv2d::{ConvNormBuffers, ConvNormKernel, ConvSize};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::device::{Cpu, Done};
use crate::kernels::cpu::gemm::packed::Packed;
use crate::kernels::profile::{Kind, scope};
use std::sync::OnceLock;

/// A convolution's packed weight and bias with its batch norm folded in.
#[derive(Debug)]
struct FoldedConv {
    factors: Vec<Packed>,
    bias: Vec<f32>,
}

/// The same for both forms of the convolution; the map's size decides which one is used.
#[derive(Debug, Default)]
pub struct Folded {
    taps: OnceLock<FoldedConv>,
    winograd: OnceLock<FoldedConv>,
}

impl Clone for Folded {
    /// An empty one: the weights of a copy may change.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl ConvNormKernel for Cpu {
    type Folded = Folded;

    fn conv_norm(
        &self,
        size: ConvSize,
        x: &Buffer,
        weights: impl FnOnce() -> ConvNormBuffers<Buffer>,
        folded: Option<&Folded>,
        relu: bool,
        y: &mut [f32],
    ) -> Done {
        assert_eq!([x.len(), y.len()], size.lengths(), "numbers of the maps that come in and go out");
        let winograd = Winograd::of(&size);
        let fold = || {
            let ConvNormBuffers { mut weight, scale, mut bias, mean, variance } = weights();
            let of_output = weight.len() / size.out_channels;
            let norms = scale.iter().zip(&*variance).zip(bias.iter_mut().zip(&*mean));
            for (weight, ((scale, variance), (bias, mean))) in weight.chunks_exact_mut(of_output).zip(norms) {
                let factor = scale / (variance + EPSILON as f32).sqrt();
                *bias -= mean * factor;
                weight.iter_mut().for_each(|w| *w *= factor);
            }
            let factors = match &winograd {
                Some(winograd) => winograd.factors(&weight),
                None => vec![size.packed_weight(&weight)],
            };
            FoldedConv { factors, bias: bias.to_vec() }
        };
        let made;
        let FoldedConv { factors, bias } = match folded {
            Some(kept) => {
                let kept = if winograd.is_some() { &kept.winograd } else { &kept.taps };
                // Folded before the lock is taken: a thread that waits for the pool may run another prediction meanwhile.
                match kept.get() {
                    Some(folded) => folded,
                    None => {
                        let folded = fold();
                        kept.get_or_init(|| folded)
                    }
                }
            }
            None => {
                made = fold();
                &made
            }
        };
        let _work = scope(Kind::Convolution, size.operations());
        match winograd {
            Some(winograd) => winograd.forward(x, factors, bias, relu, y),
            None => size.forward(x, &factors[0], Some(bias), relu, y),
        }
        Ok(())
    }
}
