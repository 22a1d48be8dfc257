//! The block as an operation of the CPU.

use super::state::{Block, BlockGradients, Saved};
use crate::kernels::adapted_block::{AdaptedBlockKernel, BlockBuffers, BlockSize};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::device::{Cpu, Done, FrozenWeight};
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::profile::{Kind, scope};
use std::convert::Infallible;
use std::sync::Arc;

impl AdaptedBlockKernel for Cpu {
    type Saved = Saved;

    fn adapted_block(
        &self,
        size: BlockSize,
        x: &Buffer,
        adapter: &[Buffer; 4],
        frozen: &BlockBuffers<Arc<FrozenWeight>>,
        memory: MemoryUse,
        y: &mut [f32],
    ) -> Result<Saved, Infallible> {
        assert_eq!([x.len(), y.len()], size.lengths(), "numbers of the maps that come in and go out");
        let _work = scope(Kind::Block, 0);
        let adapter = adapter.each_ref().map(|v| &**v);
        Ok(Block::new(size, adapter, frozen).forward(x, memory, y))
    }

    fn adapted_block_backward(
        &self,
        size: BlockSize,
        x: &Buffer,
        adapter: &[Buffer; 4],
        frozen: &BlockBuffers<Arc<FrozenWeight>>,
        saved: Saved,
        gy: &Buffer,
        [gx, down_w, down_b, up_w, up_b]: [&mut [f32]; 5],
    ) -> Done {
        assert_eq!([gx.len(), gy.len()], size.lengths(), "numbers of the maps that come in and go out");
        let _work = scope(Kind::Block, 0);
        let adapter = adapter.each_ref().map(|v| &**v);
        let gradients = BlockGradients { x: gx, adapter: [down_w, down_b, up_w, up_b] };
        Block::new(size, adapter, frozen).backward(x, saved, gy, gradients);
        Ok(())
    }
}
