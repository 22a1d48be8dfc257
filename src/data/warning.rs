//! What is likely wrong with a set of images and masks, though every file can be read.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::mask::FOREGROUND_ABOVE;
use super::names::name_as_text;
use super::pair_facts::{MaskKind, MaskLevels, PairFacts, PictureFacts};
use super::read::facts::MaskColours;
use super::unused::Few;
use crate::choice::choice;

choice! {
    /// What is likely wrong, or worth knowing.
    pub enum WarningCode: "warning" {
        /// Masks hold 0 and 1 only.
        MasksZeroOne = "masks-0-1",
        /// Masks hold something, but nothing that counts as foreground.
        MasksDark = "masks-dark",
        /// No mask of the set has foreground: all are black.
        MasksAllBlack = "masks-all-black",
        /// Some masks are black.
        MasksEmpty = "masks-empty",
        /// Masks are white all over.
        MasksAllWhite = "masks-all-white",
        /// Masks hold three levels or a few more, which are read as one class.
        MasksThreeLevels = "masks-three-levels",
        /// A few files among the masks look like photos.
        MasksUnlikeOthers = "masks-unlike-others",
        /// Masks that no image belongs to.
        MasksWithoutImage = "masks-without-image",
        /// Masks of another size than their image, but of its shape.
        SizesDiffer = "sizes-differ",
        /// Masks of another shape than their image.
        ShapesDiffer = "shapes-differ",
        /// Images that viewers show turned.
        ExifOrientation = "exif-orientation",
        /// Grey images of more than 8 bits that are clipped to white or black.
        Clipped = "clipped-16-bit",
        /// Files that hold several pictures.
        FirstFrame = "first-frame",
        /// Names that differ from their mask's in case or Unicode's form.
        NamesDiffer = "names-differ",
        /// What lies in the folders and is not used.
        Unused = "unused-files",
        /// Masks that hold 0 and 255 only, read as numbers of classes: 255 is ignored, and nothing but class 0 is left.
        MasksZeroIgnored = "masks-0-255-as-index",
        /// Masks in colours, read as one class.
        ColouredMasks = "masks-in-colours",
        /// Masks in colours that JPEG has blurred.
        ColoursFromJpeg = "colours-from-jpeg",
        /// Classes that no pixel is of.
        ClassNeverSeen = "class-never-seen",
        /// Classes that no training image shows, but validation images do.
        ClassOnlyInValidation = "class-only-in-validation",
        /// Images that are in both sets, byte for byte.
        Duplicates = "duplicates",
        /// Images all of whose pixels are ignored.
        AllIgnored = "images-all-ignored",
        /// Images that no mask or annotation is of.
        Unlabelled = "images-unlabelled",
        /// Images that the file of annotations does not list.
        NotListed = "images-not-listed",
        /// Masks of classes that were not asked for.
        OtherClasses = "other-classes",
        /// Shapes that reach beyond their image.
        ShapesClipped = "shapes-clipped",
        /// Annotations with a box only.
        BoxesOnly = "boxes-only",
        /// Annotations with key points only.
        KeypointsOnly = "keypoints-only",
        /// Polygons or lines with too few points.
        TooFewPoints = "too-few-points",
        /// Shapes of type `points`.
        PointsWithoutArea = "points-without-area",
        /// Crowds, which are ignored.
        CrowdsIgnored = "crowds-ignored",
        /// Annotations of classes that were not asked for.
        ClassesLeftOut = "classes-left-out",
        /// Images without any annotation.
        Unannotated = "images-unannotated",
    }
}

/// Something that is likely wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is.
    pub code: WarningCode,
    /// How many files it is true of.
    pub count: usize,
    /// The files.
    #[serde(serialize_with = "as_text")]
    pub files: Vec<PathBuf>,
    /// Of how many.
    #[serde(skip)]
    pub of: usize,
    /// More about it, for people.
    #[serde(skip)]
    pub detail: String,
}

/// Names of any bytes have a text, too.
fn as_text<S: Serializer>(files: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(files.iter().map(|path| name_as_text(path.as_os_str())))
}

impl Warning {
    /// About these files, of so many; `None` if there are none.
    pub(crate) fn about(code: WarningCode, files: Vec<PathBuf>, of: usize, detail: impl Into<String>) -> Option<Self> {
        let (count, detail) = (files.len(), detail.into());
        (count > 0).then_some(Self { code, count, files, of, detail })
    }

    /// About `count` things that are no files; `None` if there are none.
    pub(super) fn counted(code: WarningCode, count: usize, detail: impl Into<String>) -> Option<Self> {
        (count > 0).then(|| Self { code, count, files: Vec::new(), of: count, detail: detail.into() })
    }

    /// Whether the data may be wrong; otherwise it is worth knowing only.
    pub fn is_suspicious(&self) -> bool {
        use WarningCode::{
            CrowdsIgnored, MasksEmpty, NamesDiffer, ShapesClipped, SizesDiffer, Unannotated, Unlabelled,
        };
        let harmless = [SizesDiffer, NamesDiffer, MasksEmpty, CrowdsIgnored, ShapesClipped, Unannotated, Unlabelled];
        !harmless.contains(&self.code)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, count, of, detail, files } = self;
        let few = Few(files);
        match code {
            WarningCode::MasksZeroOne => write!(
                f,
                "{count} of {of} masks hold 0 and 1 only, so no foreground, which is above {FOREGROUND_ABOVE}: multiply them by 255 ({few})"
            ),
            WarningCode::MasksDark => write!(
                f,
                "{count} of {of} masks are not black, but hold nothing above {FOREGROUND_ABOVE}, so no foreground: it must be 255 ({few})"
            ),
            WarningCode::MasksAllBlack => write!(
                f,
                "none of the {of} masks has foreground: all are black. Is the shape in the alpha channel, which is not read, or is \
                 this another folder?"
            ),
            WarningCode::MasksEmpty => write!(f, "{count} of {of} masks are black: no foreground ({few})"),
            WarningCode::MasksAllWhite => write!(f, "{count} of {of} masks are white all over ({few})"),
            WarningCode::MasksThreeLevels => write!(
                f,
                "{count} of {of} masks hold several levels ({detail}) but are read as one class: what is above {FOREGROUND_ABOVE} is \
                 foreground ({few})"
            ),
            WarningCode::MasksUnlikeOthers => write!(
                f,
                "{count} of {of} masks are unlike the others: most of their pixels are neither black nor white. Are they masks? ({few})"
            ),
            WarningCode::MasksWithoutImage => write!(f, "{count} masks have no image and are not used ({few})"),
            WarningCode::SizesDiffer => write!(
                f,
                "{count} of {of} masks have another size than their image, but its shape: each is resized to the input's side by itself \
                 ({few})"
            ),
            WarningCode::ShapesDiffer => write!(
                f,
                "{count} of {of} masks have another shape than their image, and are stretched to it (`resize_masks`) ({few})"
            ),
            WarningCode::ExifOrientation => write!(
                f,
                "{count} of {of} files have an EXIF orientation, which is not applied, so viewers show them turned ({few}). If the \
                 masks were drawn on what viewers show, set `exif_orientation` to \"apply\""
            ),
            WarningCode::Clipped => {
                write!(f, "{count} of {of} files are grey with more than 8 bits, and {detail} ({few})")
            }
            WarningCode::FirstFrame => {
                write!(f, "{count} of {of} files hold several pictures, of which the first is taken ({few})")
            }
            WarningCode::NamesDiffer => write!(
                f,
                "{count} of {of} files have a mask whose name differs in case, or in how Unicode spells it ({few})"
            ),
            WarningCode::Unused => write!(f, "not used: {detail}"),
            WarningCode::MasksZeroIgnored => write!(
                f,
                "all {of} masks hold 0 and 255 only, which are read as class 0 and as ignored pixels: nothing of any other class is \
                 left. For one class set `labels` to \"binary\"; otherwise give a table of values (`classes`)"
            ),
            WarningCode::ColouredMasks => write!(
                f,
                "{count} of {of} masks are in colours, but are read as one class, by their brightness ({few}). For several classes \
                 give a table of their colours (`classes`)"
            ),
            WarningCode::ColoursFromJpeg => write!(
                f,
                "{count} of {of} masks are in colours and in a lossy format (JPEG, WebP), which blurs them; they are read as one class, by \
                 their brightness, and several classes cannot be told any more ({few}). Save masks as PNG, from the program that drew them"
            ),
            WarningCode::ClassNeverSeen => write!(f, "no pixel is of {detail}"),
            WarningCode::ClassOnlyInValidation => {
                write!(f, "validation images show {detail}, which no training image shows: it cannot be learnt")
            }
            WarningCode::Duplicates => write!(
                f,
                "{count} of {of} validation images are training images, too, byte for byte ({few}): scores on them say little"
            ),
            WarningCode::AllIgnored => {
                write!(
                    f,
                    "all pixels of {count} of {of} images are ignored: nothing is learnt from them, and no score tells of them ({few})"
                )
            }
            WarningCode::Unlabelled => {
                write!(f, "{count} of {of} images have no mask or annotation, and count as showing nothing ({few})")
            }
            WarningCode::NotListed => {
                write!(f, "{count} images are not listed in the file of annotations, and are not used ({few})")
            }
            WarningCode::OtherClasses => write!(f, "there are masks of other classes, which are not used: {detail}"),
            WarningCode::ShapesClipped
            | WarningCode::BoxesOnly
            | WarningCode::KeypointsOnly
            | WarningCode::TooFewPoints
            | WarningCode::PointsWithoutArea
            | WarningCode::CrowdsIgnored
            | WarningCode::ClassesLeftOut
            | WarningCode::Unannotated => f.write_str(detail),
        }
    }
}

/// What is likely wrong with masks: files, and the levels of each with how many pixels there are. Training, checking and
/// scoring say the same.
pub fn mask_warnings(masks: &[(&Path, &MaskLevels, u64)]) -> Vec<Warning> {
    let of = masks.len();
    let kinds: Vec<MaskKind> = masks.iter().map(|(_, levels, pixels)| levels.kind(*pixels)).collect();
    let files = |wanted: MaskKind| -> Vec<PathBuf> {
        masks
            .iter()
            .zip(&kinds)
            .filter(|(_, kind)| **kind == wanted)
            .map(|((path, ..), _)| path.to_path_buf())
            .collect()
    };
    let black = files(MaskKind::Black);
    let all_black = of > 0 && black.len() == of;
    let black_code = if all_black { WarningCode::MasksAllBlack } else { WarningCode::MasksEmpty };
    let mut levels: Vec<u8> = masks
        .iter()
        .zip(&kinds)
        .filter(|(_, kind)| **kind == MaskKind::FewLevels)
        .flat_map(|((_, levels, _), _)| levels.pixels.iter().map(|(level, _)| *level))
        .collect();
    levels.sort_unstable();
    levels.dedup();
    let levels = levels.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let photos = files(MaskKind::Photo);
    // one of ten, or fewer
    let plain = kinds.iter().filter(|kind| **kind == MaskKind::Plain).count();
    let unlike = if 9 * photos.len() <= plain { photos } else { Vec::new() };
    let found = [
        Warning::about(black_code, black, of, ""),
        Warning::about(WarningCode::MasksZeroOne, files(MaskKind::ZeroOne), of, ""),
        Warning::about(WarningCode::MasksDark, files(MaskKind::Dark), of, ""),
        Warning::about(WarningCode::MasksAllWhite, files(MaskKind::White), of, ""),
        Warning::about(WarningCode::MasksThreeLevels, files(MaskKind::FewLevels), of, levels),
        Warning::about(WarningCode::MasksUnlikeOthers, unlike, of, ""),
    ];
    found.into_iter().flatten().collect()
}

/// What is likely wrong with masks of one class that hold colours: files, and the colours of each.
pub(super) fn colour_warnings(masks: &[(&Path, Option<MaskColours>)]) -> Vec<Warning> {
    let files = |wanted: MaskColours| {
        let these = masks.iter().filter(|(_, colours)| *colours == Some(wanted));
        these.map(|(path, _)| path.to_path_buf()).collect()
    };
    let found = [
        Warning::about(WarningCode::ColouredMasks, files(MaskColours::Exact), masks.len(), ""),
        Warning::about(WarningCode::ColoursFromJpeg, files(MaskColours::Blurred), masks.len(), ""),
    ];
    found.into_iter().flatten().collect()
}

/// What is worth knowing of how pictures were read, images or masks: files and what is known of each.
pub fn image_warnings(images: &[(&Path, &PictureFacts)]) -> Vec<Warning> {
    let of = images.len();
    let files = |wanted: &dyn Fn(&PictureFacts) -> bool| -> Vec<PathBuf> {
        images.iter().filter(|(_, facts)| wanted(facts)).map(|(path, _)| path.to_path_buf()).collect()
    };
    let lost = |facts: &PictureFacts| facts.clipped_white + facts.clipped_black;
    let clipped = |facts: &&PictureFacts| lost(facts) > 0;
    let all = || images.iter().map(|(_, facts)| *facts).filter(clipped);
    let pixels: u64 = all().map(|facts| (facts.width * facts.height) as u64).sum();
    let share = 100.0 * all().map(lost).sum::<u64>() as f64 / (pixels as f64).max(1.0);
    // other depths have no range of their own
    let advice = match all().all(|facts| facts.bits == 16) {
        true => "`scale_16_bit` divides by 257 instead",
        false => "save them with 8 bits, scaled as is meant",
    };
    let share = if share < 1.0 { "less than 1 %".to_string() } else { format!("{share:.0} %") };
    let detail = format!("{share} of their pixels are clipped to white or black: {advice}");
    let found = [
        Warning::about(WarningCode::ExifOrientation, files(&|facts| facts.orientation.is_some()), of, ""),
        Warning::about(WarningCode::Clipped, files(&|facts| clipped(&facts)), of, detail),
        Warning::about(WarningCode::FirstFrame, files(&|facts| facts.more_frames), of, ""),
    ];
    found.into_iter().flatten().collect()
}

/// What is worth knowing of how the sizes of pairs differ: the masks' files and what is known of each pair.
pub(super) fn size_warnings(pairs: &[(&Path, &PairFacts)], same_shape: impl Fn(&PairFacts) -> bool) -> Vec<Warning> {
    let differ = |facts: &PairFacts| (facts.image.width, facts.image.height) != facts.size;
    let files = |wanted: &dyn Fn(&PairFacts) -> bool| -> Vec<PathBuf> {
        pairs.iter().filter(|(_, facts)| differ(facts) && wanted(facts)).map(|(path, _)| path.to_path_buf()).collect()
    };
    let found = [
        Warning::about(WarningCode::SizesDiffer, files(&|facts| same_shape(facts)), pairs.len(), ""),
        Warning::about(WarningCode::ShapesDiffer, files(&|facts| !same_shape(facts)), pairs.len(), ""),
    ];
    found.into_iter().flatten().collect()
}
