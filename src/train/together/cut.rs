//! How the images of one batch are shared out.

use std::ops::Range;

/// Which images of a batch each rank takes: one stretch after the other in the order of the ranks, as long as each other, or
/// longer by one image where it does not come out even.
///
/// A batch may have fewer images than there are ranks, as an epoch's last one does. A rank for which none is left still
/// takes part in all that batch norms ask of each other: it computes the batch's first image, which counts nothing. So it
/// asks and answers the same as the others, in the same time, and no rank computes more than one image more than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    images: usize,
    rank: usize,
    ranks: usize,
}

impl Cut {
    /// Cuts a batch of `images`, as rank `rank` of `ranks` sees it.
    pub fn new(images: usize, rank: usize, ranks: usize) -> Self {
        Self { images, rank, ranks }
    }

    /// How many images the batch has.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The images of `rank` that count, numbered from 0 within the batch; none where there are too few.
    pub fn counted(&self, rank: usize) -> Range<usize> {
        let (each, more) = (self.images / self.ranks, self.images % self.ranks);
        let start = rank * each + rank.min(more);
        start..start + each + usize::from(rank < more)
    }

    /// The images that this rank reads and computes: those that count, or the batch's first one.
    pub fn computed(&self) -> Range<usize> {
        let counted = self.counted(self.rank);
        if counted.is_empty() { 0..self.images.min(1) } else { counted }
    }

    /// What the loss of this rank's images counts in the batch's: their share of all images, and 0 where none counts.
    pub fn share(&self) -> f32 {
        match self.counted(self.rank).len() {
            0 => 0.0,
            own => (own as f64 / self.images as f64) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_counts_once_and_nobody_computes_much_more_than_another() {
        for ranks in 1..9 {
            for images in 1..20 {
                let cuts: Vec<Cut> = (0..ranks).map(|rank| Cut::new(images, rank, ranks)).collect();
                let counted: Vec<usize> = cuts.iter().flat_map(|cut| cut.counted(cut.rank)).collect();
                assert_eq!(counted, (0..images).collect::<Vec<_>>(), "{images} images, {ranks} ranks");
                let computed: Vec<usize> = cuts.iter().map(|cut| cut.computed().len()).collect();
                let (least, most) = (computed.iter().min().unwrap(), computed.iter().max().unwrap());
                assert!(*least > 0 && most - least <= 1, "{images} images, {ranks} ranks: {computed:?}");
                let shares: f32 = cuts.iter().map(Cut::share).sum();
                assert!((shares - 1.0).abs() < 1e-6, "{images} images, {ranks} ranks: shares {shares}");
            }
        }
    }

    #[test]
    fn a_rank_without_an_image_computes_the_first_one_which_counts_nothing() {
        let cut = Cut::new(2, 2, 3);
        assert_eq!((cut.counted(2), cut.computed(), cut.share()), (2..2, 0..1, 0.0));
    }
}
