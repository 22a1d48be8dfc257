//! What is true of each pixel: of one image at its mask's size, and of a batch at a network's side.

use super::classes::class::{ClassKind, Classes};
use super::classes::nearest::resize_nearest;
use super::classes::values::IGNORED;
use super::flip::Flips;
use super::mask::FOREGROUND_ABOVE;
use super::pixels::Grey;
use super::resize::Filter;

/// What is true of each pixel of an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// The mask of one class, soft: white is foreground.
    Mask(Grey),
    /// An index map of one class and pixels that are ignored: 0 is background, 1 foreground, 255 ignored.
    MaskAndIgnored(Grey),
    /// Classes that exclude each other: an index map of 0 to `K - 1`, and 255 where a pixel is ignored.
    Index(Grey),
    /// Classes that may overlap: a soft mask of each, all of one size.
    Labels {
        /// The masks, in the order of the classes; at least one.
        masks: Vec<Grey>,
        /// Where it is above 128, pixels are ignored in every class.
        ignored: Option<Grey>,
    },
}

impl From<Grey> for Truth {
    /// The mask of one class.
    fn from(mask: Grey) -> Self {
        Self::Mask(mask)
    }
}

impl Truth {
    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Mask(map) | Self::MaskAndIgnored(map) | Self::Index(map) => map.size(),
            Self::Labels { masks, .. } => masks.first().map_or((0, 0), Grey::size),
        }
    }

    /// As a network of this side sees it. Soft masks are resized by Pillow's bicubic filter, as the published pipeline does; index
    /// maps, and masks of what is ignored, take the nearest pixel. Then all are flipped alike.
    pub fn at(&self, side: usize, flips: Flips) -> BatchTruth {
        let flipped = |mut map: Grey| {
            if flips.horizontal {
                map.flip_horizontal();
            }
            if flips.vertical {
                map.flip_vertical();
            }
            map.data
        };
        let soft = |mask: &Grey| flipped(mask.resize(side, side, Filter::Bicubic));
        let hard = |map: &Grey| flipped(resize_nearest(map, side, side));
        let share = |level: u8| f32::from(level) / 255.0;
        match self {
            Self::Mask(mask) => BatchTruth::Masks(soft(mask).into_iter().map(share).collect()),
            Self::MaskAndIgnored(map) => {
                let map = hard(map);
                BatchTruth::MasksAndKnown {
                    masks: map.iter().map(|v| f32::from(u8::from(*v == 1))).collect(),
                    known: map.iter().map(|v| u8::from(*v != IGNORED)).collect(),
                }
            }
            Self::Index(map) => BatchTruth::Index(hard(map)),
            Self::Labels { masks, ignored } => {
                let masks = masks.iter().flat_map(soft).map(share).collect();
                match ignored {
                    None => BatchTruth::Masks(masks),
                    Some(ignored) => {
                        let known =
                            hard(ignored).into_iter().map(|level| u8::from(level <= FOREGROUND_ABOVE)).collect();
                        BatchTruth::MasksAndKnown { masks, known }
                    }
                }
            }
        }
    }

    /// Whether it is of these classes: of their kind and number, with masks of one size.
    ///
    /// # Errors
    /// When it is not: what is wrong.
    pub fn check(&self, classes: Option<&Classes>) -> Result<(), String> {
        let kind = classes.map(|classes| classes.kind);
        let one_class = kind == Some(ClassKind::Overlapping) && classes.map(Classes::len) == Some(1);
        let fits = match self {
            Self::Mask(_) => classes.is_none(),
            Self::MaskAndIgnored(_) => one_class,
            Self::Index(_) => kind == Some(ClassKind::Exclusive),
            Self::Labels { masks, ignored } => {
                let size = self.size();
                if masks.iter().chain(ignored).any(|mask| mask.size() != size) {
                    return Err("its masks have different sizes".to_string());
                }
                kind == Some(ClassKind::Overlapping) && classes.map(Classes::len) == Some(masks.len())
            }
        };
        let told = match self {
            Self::Mask(_) => "a mask of one class".to_string(),
            Self::MaskAndIgnored(_) => "a mask of one class with ignored pixels".to_string(),
            Self::Index(_) => "an index map".to_string(),
            Self::Labels { masks, .. } => format!("{} masks of classes that may overlap", masks.len()),
        };
        match fits {
            true => Ok(()),
            false => Err(format!(
                "it gives {told}, but the data set has {}",
                classes.map_or("one class without a name".to_string(), Classes::told)
            )),
        }
    }

    /// At another size: of each pixel the nearest one.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let nearest = |map: &Grey| resize_nearest(map, width, height);
        match self {
            Self::Mask(map) => Self::Mask(nearest(map)),
            Self::MaskAndIgnored(map) => Self::MaskAndIgnored(nearest(map)),
            Self::Index(map) => Self::Index(nearest(map)),
            Self::Labels { masks, ignored } => {
                Self::Labels { masks: masks.iter().map(nearest).collect(), ignored: ignored.as_ref().map(nearest) }
            }
        }
    }

    /// The mask of one class, or an index map as it stands; of classes that may overlap, all of them together.
    pub fn into_mask(self) -> Grey {
        match self {
            Self::Mask(map) | Self::MaskAndIgnored(map) | Self::Index(map) => map,
            Self::Labels { masks, .. } => {
                let unite = |mut all: Grey, mask: Grey| {
                    all.data.iter_mut().zip(mask.data).for_each(|(all, level)| *all = level.max(*all));
                    all
                };
                masks.into_iter().reduce(unite).unwrap_or_else(|| Grey::filled(0, 0, [0]))
            }
        }
    }
}

/// What is true of each pixel of a batch of `B` images, for a model of `K` classes.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchTruth {
    /// Labels that may overlap, or one: masks `(B, K, side, side)`, in 0..=1, soft.
    Masks(Vec<f32>),
    /// The same, where some pixels are ignored.
    MasksAndKnown {
        /// `(B, K, side, side)`, in 0..=1. What they are where a pixel is ignored does not matter.
        masks: Vec<f32>,
        /// `(B, K, side, side)`, or `(B, 1, side, side)` for all labels together: 0 where a pixel is ignored, else 1.
        known: Vec<u8>,
    },
    /// Classes that exclude each other: index maps `(B, side, side)` of 0 to `K - 1`, and 255 where a pixel is ignored.
    Index(Vec<u8>),
}

impl BatchTruth {
    /// How many numbers its masks or index maps are.
    pub fn numbers(&self) -> usize {
        match self {
            Self::Masks(masks) | Self::MasksAndKnown { masks, .. } => masks.len(),
            Self::Index(map) => map.len(),
        }
    }

    /// The truths of images of `pixels` pixels, one after the other; `None` where index maps and masks are mixed. Where some images
    /// have ignored pixels, those that say nothing of it have none.
    pub(super) fn together(images: Vec<Self>, pixels: usize) -> Option<Self> {
        if images.iter().all(|image| matches!(image, Self::Index(_))) {
            let maps =
                images.into_iter().filter_map(|image| if let Self::Index(map) = image { Some(map) } else { None });
            return Some(Self::Index(maps.flatten().collect()));
        }
        // planes of what is known: one for each mask where any image has so many
        let planes = |masks: &[f32], known: &[u8]| if known.len() == pixels { 1 } else { masks.len() / pixels.max(1) };
        let most = images.iter().filter_map(|image| match image {
            Self::MasksAndKnown { masks, known } => Some(planes(masks, known)),
            _ => None,
        });
        let most = most.max();
        let numbers = images.iter().map(Self::numbers).sum();
        let (mut all_masks, mut all_known) = (Vec::with_capacity(numbers), Vec::new());
        for image in images {
            match (image, most) {
                (Self::Index(_), _) => return None,
                (Self::Masks(masks), None) => all_masks.extend(masks),
                (Self::Masks(masks), Some(most)) => {
                    all_masks.extend(masks);
                    all_known.resize(all_known.len() + most * pixels, 1);
                }
                (Self::MasksAndKnown { masks, known }, most) => {
                    let times = if planes(&masks, &known) == 1 { most.unwrap_or(1) } else { 1 };
                    all_masks.extend(masks);
                    (0..times).for_each(|_| all_known.extend_from_slice(&known));
                }
            }
        }
        Some(match most {
            None => Self::Masks(all_masks),
            Some(_) => Self::MasksAndKnown { masks: all_masks, known: all_known },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(width: usize, data: &[u8]) -> Grey {
        Grey { width, height: data.len() / width, data: data.to_vec() }
    }

    #[test]
    fn each_kind_becomes_what_a_loss_takes() {
        let none = Flips::default();
        assert_eq!(Truth::Mask(map(2, &[0, 255, 51, 0])).at(2, none), BatchTruth::Masks(vec![0.0, 1.0, 0.2, 0.0]));
        let one = Truth::MaskAndIgnored(map(2, &[0, 1, 255, 1]));
        let (masks, known) = (vec![0.0, 1.0, 0.0, 1.0], vec![1, 1, 0, 1]);
        assert_eq!(one.at(2, none), BatchTruth::MasksAndKnown { masks, known });
        let turned = Truth::Index(map(2, &[0, 1, 2, 255])).at(2, Flips { horizontal: true, vertical: true });
        assert_eq!(turned, BatchTruth::Index(vec![255, 2, 1, 0]));
        let labels = Truth::Labels { masks: vec![map(1, &[255]), map(1, &[0])], ignored: Some(map(1, &[129])) };
        assert_eq!(labels.at(1, none), BatchTruth::MasksAndKnown { masks: vec![1.0, 0.0], known: vec![0] });
        assert_eq!((labels.size(), labels.into_mask()), ((1, 1), map(1, &[255])));
    }

    #[test]
    fn images_without_ignored_pixels_go_with_others() {
        let masks = |planes: usize| vec![0.5; 2 * planes];
        let known = |known: &[u8]| BatchTruth::MasksAndKnown { masks: masks(2), known: known.to_vec() };
        let together = |images: &[BatchTruth]| BatchTruth::together(images.to_vec(), 2);
        let all = |known: &[u8]| Some(BatchTruth::MasksAndKnown { masks: masks(4), known: known.to_vec() });
        assert_eq!(together(&[BatchTruth::Masks(masks(2)), known(&[1, 0])]), all(&[1, 1, 1, 0]));
        assert_eq!(together(&[known(&[1, 0]), known(&[1, 0, 0, 0])]), all(&[1, 0, 1, 0, 1, 0, 0, 0]));
        let soft = BatchTruth::Masks(masks(1));
        assert_eq!(together(&[soft.clone(), soft]), Some(BatchTruth::Masks(masks(2))));
        assert_eq!(together(&[BatchTruth::Index(vec![1, 2]), BatchTruth::Masks(masks(1))]), None);
        let map = BatchTruth::Index(vec![1, 2]);
        assert_eq!(together(&[map.clone(), map]), Some(BatchTruth::Index(vec![1, 2, 1, 2])));
    }
}
