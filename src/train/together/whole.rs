//! One batch over several ranks: what their batch norms tell each other.

use super::cut::Cut;
use crate::device::{Device, WithBackend};
use crate::group::processes::{Group, GroupError};
use crate::kernels::whole_batch::{Moments, WholeBatch, merge_moments};
use crate::nn::backend::bound::Backend;
use std::fmt::{self, Debug, Formatter};
use std::rc::Rc;

/// Told why another rank was lost within a pass, before all ranks are ended.
pub type RankLost = Rc<dyn Fn(&GroupError)>;

/// A batch of which each rank of a group computes a part: for [`as_part_of`](crate::nn::as_part_of), around the training
/// pass of the images that its [`Cut`] gives to this rank. All ranks make that pass, on images of one side.
///
/// All ranks' numbers are gathered, and put together in the order of the ranks, in double precision: the same bits on each rank,
/// and from run to run with the same number of ranks. A batch norm asks once in the forward pass and once in the backward
/// pass, and once more if it follows a 1x1 convolution, whose input is centred.
///
/// Gradients are of this rank's images. With the loss times [`Cut::share`], those of all ranks add up to the batch's. What
/// batch norms saw is the same on all ranks: running statistics move as in one process, by any rank's.
#[derive(Clone)]
pub struct SplitBatch {
    group: Rc<dyn Group>,
    cut: Cut,
    lost: RankLost,
}

/// Why a batch cannot be split over processes on this device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a batch can be split over several processes on the CPU only so far, and the device is {device}: choose the CPU, or let \
     each process take whole batches of a step of several"
)]
pub struct SplitError {
    /// The device.
    pub device: String,
}

impl SplitBatch {
    /// A batch of so many images over the ranks of a group. Where one of them is lost within a pass, `lost` is told, and then
    /// all ranks are ended with status 1.
    pub fn new(group: Rc<dyn Group>, images: usize, lost: RankLost) -> Self {
        let cut = Cut::new(images, group.rank(), group.size());
        Self { group, cut, lost }
    }

    /// Checks, before anything is trained, that a device can do it.
    ///
    /// # Errors
    /// On a GPU.
    pub fn check(device: &Device) -> Result<(), SplitError> {
        struct Check;
        impl WithBackend for Check {
            type Output = Result<(), SplitError>;
            fn call<D: Backend>(self, device: &D) -> Self::Output {
                match device.supports_parts() {
                    true => Ok(()),
                    false => Err(SplitError { device: device.description() }),
                }
            }
        }
        device.visit(Check)
    }

    /// Which images each rank takes.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// How many rows of a map `rank` has that count, if this rank's map has `own`.
    fn counted(&self, rank: usize, own: usize) -> usize {
        self.rows_of(self.cut.counted(rank).len(), own)
    }

    /// Rows of so many images. All images have as many.
    fn rows_of(&self, images: usize, own: usize) -> usize {
        own / self.cut.computed().len() * images
    }

    /// The numbers of each rank.
    fn gather(&self, mine: &[f64]) -> Vec<Vec<f64>> {
        let bytes: Vec<u8> = mine.iter().flat_map(|v| v.to_le_bytes()).collect();
        let ranks = self.group.size();
        let mut all = vec![0; ranks * bytes.len()];
        if let Err(error) = self.group.gather(&bytes, &mut all, &vec![bytes.len(); ranks]) {
            (self.lost)(&error);
            self.group.abort(1);
        }
        let numbers = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|v| f64::from_le_bytes(*v)).collect();
        all.chunks(bytes.len()).map(numbers).collect()
    }
}

impl Debug for SplitBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitBatch").field("group", &self.group).field("cut", &self.cut).finish_non_exhaustive()
    }
}

impl WholeBatch for SplitBatch {
    fn rows(&self, own: usize) -> usize {
        self.rows_of(self.cut.images(), own)
    }

    fn counts(&self) -> bool {
        !self.cut.counted(self.group.rank()).is_empty()
    }

    fn sum(&self, sums: &mut [f64]) {
        let all = self.gather(sums);
        let mut counted = all.iter().enumerate().filter(|(rank, _)| !self.cut.counted(*rank).is_empty());
        // not from zero: one rank's sums are its own to the bit
        if let Some((_, first)) = counted.next() {
            sums.copy_from_slice(first);
        }
        for (_, part) in counted {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
    }

    fn moments(&self, own: usize, mean: &mut [f64], squares: &mut [f64]) {
        let all = self.gather(&[&*mean, &*squares].concat());
        let parts = all.iter().enumerate().map(|(rank, part)| {
            let (mean, squares) = part.split_at(part.len() / 2);
            Moments { rows: self.counted(rank, own), mean, squares }
        });
        merge_moments(parts, mean, squares);
    }
}
