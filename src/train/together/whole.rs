//! One batch over several ranks: what their batch norms tell each other.

use super::cut::Cut;
use crate::device::{Device, WithBackend};
use crate::group::processes::{Group, GroupError};
use crate::kernels::whole_batch::{Moments, WholeBatch, merge_moments};
use crate::nn::backend::bound::Backend;
use std::sync::Arc;

/// A batch of which each rank of a group computes a part: for [`as_part_of`](crate::nn::as_part_of), around the training
/// pass of the images that its [`Cut`] gives to this rank. All ranks make that pass, on images of one side.
///
/// All ranks' numbers are gathered, and put together in the order of the ranks, in double precision: the same bits on each rank,
/// and from run to run with the same number of ranks. A batch norm asks once in the forward pass and once in the backward
/// pass, and once more if it follows a 1x1 convolution, whose input is centred.
///
/// Gradients are of this rank's images. With the loss times [`Cut::share`], those of all ranks add up to the batch's. What
/// batch norms saw is the same on all ranks: running statistics move as in one process, by any rank's.
#[derive(Clone, Debug)]
pub struct SplitBatch {
    group: Arc<dyn Group>,
    cut: Cut,
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
    /// A batch of so many images over the ranks of a group. Where one of them is lost within a pass, or has images of another
    /// side, all ranks are ended with status 1 ([`Group::abort`]).
    pub fn new(group: Arc<dyn Group>, images: usize) -> Self {
        let cut = Cut::new(images, group.rank(), group.size());
        Self { group, cut }
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

    /// How many rows of a map each image has, if this rank's has `own` in all.
    fn rows_an_image(&self, own: usize) -> usize {
        own / self.cut.computed().len()
    }

    /// Nothing within a pass can be taken back, so that an error ends it for all.
    fn end(&self, error: &GroupError) -> ! {
        self.group.abort(&error.to_string(), 1)
    }

    /// The numbers of each rank.
    fn gather(&self, mine: &[f64]) -> Vec<Vec<f64>> {
        let bytes: Vec<u8> = mine.iter().flat_map(|v| v.to_le_bytes()).collect();
        let ranks = self.group.size();
        let mut all = vec![0; ranks * bytes.len()];
        if let Err(error) = self.group.gather(&bytes, &mut all, &vec![bytes.len(); ranks]) {
            self.end(&error);
        }
        let numbers = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|v| f64::from_le_bytes(*v)).collect();
        all.chunks(bytes.len()).map(numbers).collect()
    }
}

impl WholeBatch for SplitBatch {
    fn rows(&self, own: usize) -> usize {
        self.rows_an_image(own) * self.cut.images()
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
        let each = self.rows_an_image(own);
        let all = self.gather(&[&[each as f64], &*mean, &*squares].concat());
        if let Some((rank, part)) = all.iter().enumerate().find(|(_, part)| part[0] != each as f64) {
            let me = self.group.rank();
            self.end(&GroupError(format!(
                "one batch over several ranks has images of one side, but a map that has {each} pixels an image on rank {me} \
                 has {} on rank {rank}",
                part[0]
            )));
        }
        let channels = mean.len();
        let parts = all.iter().enumerate().map(|(rank, part)| {
            let (mean, squares) = part[1..].split_at(channels);
            Moments { rows: each * self.cut.counted(rank).len(), mean, squares }
        });
        merge_moments(parts, mean, squares);
    }
}
