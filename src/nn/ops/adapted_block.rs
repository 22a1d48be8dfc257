//! An adapter and the frozen Hiera block behind it, as one operation (paper, section 3.1; Hiera,
//! arXiv 2306.00989; its SAM2 form, arXiv 2408.00714).
//!
//! ```text
//! z = x + gelu(up(gelu(down(x))))             adapter, trainable
//! a = skip(z) + proj(attention(norm1(z)))     skip: z, or maxpool(proj(norm1(z))) in a pooling block
//! y = a + fc2(gelu(fc1(norm2(a))))
//! ```

use super::{Erased, Slot, erase, record, retype};

use crate::nn::{Backend, Map, backend::Memory};

use dfdx::prelude::*;

/// [`FrozenBlock`] as a module lends it.
pub type BlockWeights<'a, D> = FrozenBlock<&'a <D as Memory>::Frozen>;

/// An adapter's weight `(out, in)` and bias.
pub type LinearRef<'a, O, I, D> = (&'a Tensor<(O, I), f32, D>, &'a Tensor<(O,), f32, D>);

/// The four trainable tensors of an adapter.
#[derive(Debug)]
pub struct AdapterRef<'a, C: ConstDim, R: ConstDim, D: Backend> {
    /// `C` to `R` channels.
    pub down: LinearRef<'a, R, C, D>,
    /// And back.
    pub up: LinearRef<'a, C, R, D>,
}

/// `(B, H, H, C)` to `(B, HO, HO, CO)`, where `HO` is `H`, or half of it in a pooling block (one with a skip
/// projection).
///
/// # Errors
/// The device's.
#[allow(clippy::type_complexity)]
pub fn adapted_block<B, H, HO, C, CO, R, D, T>(
    x: Map<B, H, C, D, T>,
    adapter: AdapterRef<'_, C, R, D>,
    weights: BlockWeights<'_, D>,
    geometry: Geometry,
    keep: Keep,
) -> Result<Map<B, HO, CO, D, T>, D::Err>
where
    B: Dim,
    H: Dim,
    HO: Dim,
    C: ConstDim,
    CO: ConstDim,
    R: ConstDim,
    D: Backend,
    T: Tape<f32, D>,
{
    let adapter = (
        erase(adapter.down.0.clone()),
        erase(adapter.down.1.clone()),
        erase(adapter.up.0.clone()),
        erase(adapter.up.1.clone()),
    );
    let own = |[weight, bias]: [&D::Frozen; 2]| [weight.clone(), bias.clone()];
    let weights = FrozenBlock {
        norm1: own(weights.norm1),
        qkv: own(weights.qkv),
        proj: own(weights.proj),
        norm2: own(weights.norm2),
        fc1: own(weights.fc1),
        fc2: own(weights.fc2),
        skip: weights.skip.map(own),
    };
    Ok(retype(erased(erase(x), CO::SIZE, adapter, weights, geometry, keep)?))
}

type Adapter<D> = (Erased<2, D>, Erased<1, D>, Erased<2, D>, Erased<1, D>);

fn erased<D: Backend, T: Tape<f32, D>>(
    x: Erased<4, D, T>,
    out_channels: usize,
    a: Adapter<D>,
    weights: FrozenBlock<D::Frozen>,
    geometry: Geometry,
    keep: Keep,
) -> Result<Erased<4, D, T>, D::Err> {
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let device = x.device().clone();
    let [batch, side, _, channels] = *x.shape();
    let pool = weights.skip.is_some();
    let out_side = if pool { side / 2 } else { side };
    let size = BlockSize {
        batch,
        side,
        channels,
        out_channels,
        hidden: a.0.shape()[0],
        heads: geometry.heads,
        window: geometry.window,
        pool,
    };
    let keep = if T::OWNS_TAPE { keep } else { Keep::Input };
    let views = |d: &D| [d.view(&a.0), d.view(&a.1), d.view(&a.2), d.view(&a.3)];
    let (y, saved) = device.build_with([batch, out_side, out_side, out_channels], |y| {
        device.adapted_block(size, &device.view(&x), &views(&device), &weights, keep, y)
    })?;
    if T::OWNS_TAPE {
        let inputs = [Slot::of(&x), Slot::of(&a.0), Slot::of(&a.1), Slot::of(&a.2), Slot::of(&a.3)];
        record(&mut tape, &device, inputs, Slot::of(&y), move |d, gy, gradients| {
            let views = [d.view(&a.0), d.view(&a.1), d.view(&a.2), d.view(&a.3)];
            d.adapted_block_backward(size, &d.view(&x), &views, &weights, saved, &gy, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
