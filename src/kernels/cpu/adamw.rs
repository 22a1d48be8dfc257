//! One step of AdamW on one weight, element by element: equal inputs give equal bits, whatever the machine or the
//! number of threads.

use super::buffer::Buffer;
use super::device::{Cpu, Done};
use crate::kernels::adamw::{AdamWKernel, AdamWStep};

impl AdamWKernel for Cpu {
    fn adamw(
        &self,
        step: &AdamWStep,
        old: &Buffer,
        gradient: &Buffer,
        [first, second]: [&mut [f32]; 2],
        weight: &mut [f32],
    ) -> Done {
        let moments = first.iter_mut().zip(second);
        for (((w, &old), &g), (m, v)) in weight.iter_mut().zip(&**old).zip(&**gradient).zip(moments) {
            *m += step.first_new * (g - *m);
            *v = *v * step.second_keep + step.second_new * g * g;
            let denominator = v.sqrt() / step.second_scale + step.epsilon;
            *w = old * step.keep - step.step_size * *m / denominator;
        }
        Ok(())
    }
}
