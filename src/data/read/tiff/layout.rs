//! How a TIFF keeps its first page: the tags that matter, checked.

use std::io::Cursor;

use tiff::TiffError;
use tiff::decoder::Decoder;
use tiff::tags::{ByteOrder, Tag};

use crate::data::pixels::MAX_PIXELS;
use crate::data::read::kind::RAW_TIFF;
use crate::data::read::problem::{Problem, check_size};

/// What the samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    Lab,
}

impl Meaning {
    /// How many channels carry the colour; those after them are alpha, or nobody's.
    pub(crate) const fn channels(self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Rgb | Self::YCbCr | Self::Lab => 3,
            Self::Cmyk => 4,
        }
    }
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Unsigned,
    Signed,
    Float,
}

/// What the first channel after the colour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    None,
    /// Of no meaning: passed over.
    Unknown,
    /// Alpha that the colour is already multiplied with.
    Premultiplied,
    Alpha,
}

/// The first page of a TIFF. Sides, bits, channels, and the number and size of chunks are checked against each other and
/// against [`MAX_PIXELS`] and [`MAX_BYTES`].
pub(crate) struct Layout {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) meaning: Meaning,
    pub(crate) number: Number,
    /// Bits of a sample, the same for all.
    pub(crate) bits: u8,
    /// Samples of a pixel, the extra ones included.
    pub(crate) channels: usize,
    pub(crate) extra: Extra,
    pub(crate) compression: u16,
    /// 1: none, 2: differences, 3: differences of floats by bytes.
    pub(crate) predictor: u16,
    /// Each channel in chunks of its own.
    pub(crate) planar: bool,
    /// Sides of a chunk: a tile, or a strip of the full width.
    pub(crate) chunk_width: usize,
    pub(crate) chunk_height: usize,
    pub(crate) tiled: bool,
    /// Where each chunk begins in the file, and its length there.
    pub(crate) chunks: Vec<(u64, u64)>,
    pub(crate) big_endian: bool,
    /// Bits of each byte run from the lowest on.
    pub(crate) bits_reversed: bool,
    /// Options of the fax codes (tag T4Options).
    pub(crate) fax_options: u32,
    pub(crate) jpeg_tables: Option<Vec<u8>>,
    /// By how much chroma is coarser, across and down; none where the file does not say.
    pub(crate) subsampling: Option<(usize, usize)>,
    pub(crate) colours: Vec<[u8; 3]>,
    pub(crate) orientation: Option<u8>,
    pub(crate) more_pages: bool,
}

/// The most bytes of a picture, or of one of its chunks: [`MAX_PIXELS`] of four channels of 16 bits.
const MAX_BYTES: usize = MAX_PIXELS * 8;

/// How much larger than the whole picture a chunk may be: tiles of a size of their own, in a small picture.
const MORE_CHUNK_BYTES: usize = 64 << 20;

/// The longest tables that the JPEG parts share.
const MAX_TABLES_BYTES: usize = 16 << 10;

type Tags<'a> = Decoder<Cursor<&'a [u8]>>;

const T4_OPTIONS: Tag = Tag::Unknown(292);
const DNG_VERSION: Tag = Tag::Unknown(50706);

impl Layout {
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, Problem> {
        refuse_endless_text(bytes)?;
        let mut tags = Decoder::new(Cursor::new(bytes)).map_err(|error| tag_problem(&error))?;
        let (width, height) = tags.dimensions().map_err(|error| tag_problem(&error))?;
        let (width, height) = (width as usize, height as usize);
        check_size(width, height, usize::MAX)?;
        refuse_raw(&mut tags)?;

        let compression = number(&mut tags, Tag::Compression)?.unwrap_or(1);
        let planar = number::<u16>(&mut tags, Tag::PlanarConfiguration)? == Some(2);
        let channels = usize::from(number::<u16>(&mut tags, Tag::SamplesPerPixel)?.unwrap_or(1));
        let photometric = number(&mut tags, Tag::PhotometricInterpretation)?.unwrap_or(0);
        let meaning = meaning(photometric, channels)?;
        let bits = numbers::<u16>(&mut tags, Tag::BitsPerSample)?.first().copied().unwrap_or(1);
        let number_kind = number_kind(numbers::<u16>(&mut tags, Tag::SampleFormat)?.first().copied())?;
        let extra = match numbers::<u16>(&mut tags, Tag::ExtraSamples)?.first() {
            _ if channels <= meaning.channels() => Extra::None,
            Some(1) => Extra::Premultiplied,
            Some(2 | 999) => Extra::Alpha,
            // a fourth channel of RGB that nobody explains is alpha (Pillow)
            None if meaning == Meaning::Rgb => Extra::Alpha,
            _ => Extra::Unknown,
        };
        let tiled = tags.find_tag(Tag::TileWidth).is_ok_and(|tag| tag.is_some());
        let (chunk_width, chunk_height) = if tiled {
            (number(&mut tags, Tag::TileWidth)?.unwrap_or(0), number(&mut tags, Tag::TileLength)?.unwrap_or(0))
        } else {
            (width, number(&mut tags, Tag::RowsPerStrip)?.unwrap_or(height).min(height))
        };
        let (offsets, lengths) = if tiled {
            (numbers(&mut tags, Tag::TileOffsets)?, numbers(&mut tags, Tag::TileByteCounts)?)
        } else {
            (numbers(&mut tags, Tag::StripOffsets)?, numbers(&mut tags, Tag::StripByteCounts)?)
        };
        let subsampling = match numbers::<u16>(&mut tags, Tag::ChromaSubsampling)?[..] {
            [across @ (1 | 2 | 4), down @ (1 | 2 | 4)] => Some((usize::from(across), usize::from(down))),
            _ => None,
        };
        let orientation = number::<u8>(&mut tags, Tag::Orientation)?.filter(|value| (2..=8).contains(value));
        let layout = Self {
            width,
            height,
            meaning,
            number: number_kind,
            bits: u8::try_from(bits).unwrap_or(0),
            channels,
            extra,
            compression,
            predictor: number(&mut tags, Tag::Predictor)?.unwrap_or(1),
            planar: planar && channels > 1,
            chunk_width,
            chunk_height,
            tiled,
            chunks: offsets.into_iter().zip(lengths).collect(),
            big_endian: tags.byte_order() == ByteOrder::BigEndian,
            bits_reversed: number::<u16>(&mut tags, Tag::FillOrder)? == Some(2),
            fax_options: number(&mut tags, T4_OPTIONS)?.unwrap_or(0),
            jpeg_tables: bytes_of(&mut tags, Tag::JPEGTables)?,
            subsampling,
            colours: colours(&numbers(&mut tags, Tag::ColorMap)?),
            orientation,
            more_pages: tags.more_images(),
        };
        layout.check()?;
        Ok(layout)
    }

    /// Channels that lie together in one chunk.
    pub(crate) fn chunk_channels(&self) -> usize {
        if self.planar { 1 } else { self.channels }
    }

    /// How many planes of chunks there are.
    pub(crate) fn planes(&self) -> usize {
        if self.planar { self.channels } else { 1 }
    }

    /// Bytes of a row of `width` pixels of one plane.
    pub(crate) fn row_bytes(&self, width: usize) -> usize {
        (width * self.chunk_channels() * usize::from(self.bits)).div_ceil(8)
    }

    /// By how much chroma is coarser than luma, across and down; 1 of what is not YCbCr. Files without the tag are taken
    /// as Pillow takes them: not subsampled where they are not compressed, otherwise by 2 as the standard says.
    pub(crate) fn chroma(&self) -> (usize, usize) {
        let default = if self.compression == 1 || self.planar { (1, 1) } else { (2, 2) };
        if self.meaning == Meaning::YCbCr { self.subsampling.unwrap_or(default) } else { (1, 1) }
    }

    fn check(&self) -> Result<(), Problem> {
        let Self { width, height, .. } = *self;
        if !matches!(self.bits, 1 | 2 | 4 | 8 | 12 | 16 | 32 | 64) {
            return Err(undecodable(format!("samples of {} bits are not read", self.bits)));
        }
        if self.planar && !self.bits.is_multiple_of(8) {
            return Err(undecodable(format!("planes of {} bits are not read", self.bits)));
        }
        // more channels than any picture has; the tag may claim 65535
        if self.channels > 32 {
            return Err(undecodable(format!("{} channels are not read", self.channels)));
        }
        let size = |bytes: usize, rows: usize| bytes.checked_mul(rows).filter(|&size| size <= MAX_BYTES);
        if size(self.row_bytes(width) * self.planes(), height).is_none() {
            let (channels, bits) = (self.channels, self.bits);
            return Err(undecodable(format!(
                "{width}x{height} pixels of {channels} channels of {bits} bits are more than the limit of {MAX_BYTES} \
                 bytes"
            )));
        }
        // a tile may stand over the picture's edges, but not by far; a tile's rows must begin at a byte
        let fits = self.chunk_width <= width.next_multiple_of(16).max(8192) && self.chunk_height <= height.max(8192);
        let at_byte = || self.chunk_width == width || (self.chunk_width * usize::from(self.bits)).is_multiple_of(8);
        if self.chunk_width == 0 || self.chunk_height == 0 || !fits || !at_byte() {
            return Err(undecodable(format!("chunks of {}x{} are not read", self.chunk_width, self.chunk_height)));
        }
        // each is unpacked in memory: a small file must not ask for much more than its picture
        let rounded = self.row_bytes(width.next_multiple_of(16)).saturating_mul(height.next_multiple_of(16));
        let most = rounded.saturating_add(MORE_CHUNK_BYTES);
        if size(self.row_bytes(self.chunk_width), self.chunk_height).is_none_or(|size| size > most) {
            return Err(undecodable(format!(
                "chunks of {}x{} are much larger than the picture of {width}x{height}",
                self.chunk_width, self.chunk_height
            )));
        }
        // they are put in front of every chunk; real ones have 3 KB at most
        if self.jpeg_tables.as_ref().is_some_and(|tables| tables.len() > MAX_TABLES_BYTES) {
            return Err(undecodable("its JPEG tables are longer than is sane"));
        }
        if self.chroma() != (1, 1) && self.compression != 7 && (self.planar || self.channels != 3) {
            return Err(undecodable("coarser chroma is read of three channels that lie together only"));
        }
        let needed = width.div_ceil(self.chunk_width) * height.div_ceil(self.chunk_height) * self.planes();
        if self.chunks.len() < needed {
            return Err(undecodable(format!(
                "{} of {needed} parts of the picture are missing",
                needed - self.chunks.len()
            )));
        }
        Ok(())
    }
}

pub(crate) fn undecodable(reason: impl Into<String>) -> Problem {
    Problem::Undecodable(reason.into())
}

fn meaning(photometric: u16, channels: usize) -> Result<Meaning, Problem> {
    let meaning = match photometric {
        0 => Meaning::WhiteIsZero,
        1 => Meaning::BlackIsZero,
        2 => Meaning::Rgb,
        3 => Meaning::Palette,
        5 => Meaning::Cmyk,
        // luma alone
        6 if channels == 1 => Meaning::BlackIsZero,
        6 => Meaning::YCbCr,
        8 => Meaning::Lab,
        32803 | 34892 => return Err(Problem::Unread(RAW_TIFF)),
        32844 | 32845 => return Err(undecodable("its colours are in SGI's LogLuv, which is not read")),
        other => return Err(undecodable(format!("its colours are of kind {other}, which is not read"))),
    };
    if channels < meaning.channels() {
        let needed = meaning.channels();
        return Err(undecodable(format!("it has {channels} channels where its colours need {needed}")));
    }
    Ok(meaning)
}

fn number_kind(format: Option<u16>) -> Result<Number, Problem> {
    Ok(match format {
        // 4 is "of no type", which is read as if nothing were said
        None | Some(1 | 4) => Number::Unsigned,
        Some(2) => Number::Signed,
        Some(3) => Number::Float,
        Some(5 | 6) => return Err(undecodable("complex numbers are not read")),
        Some(other) => return Err(undecodable(format!("samples of format {other} are not read"))),
    })
}

/// A text in the first directory that is longer than the file. The crate `tiff` refuses one of more than 256 MB too,
/// but prints a line when it does.
fn refuse_endless_text(bytes: &[u8]) -> Result<(), Problem> {
    const TEXT: u64 = 2;
    let number = |at: usize, size: usize| -> Option<u64> {
        let digits = bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: u64, digit: &u8| sum << 8 | u64::from(*digit);
        Some(if bytes[0] == b'M' { digits.iter().fold(0, add) } else { digits.iter().rev().fold(0, add) })
    };
    let is_big = number(2, 2) == Some(43);
    // where the directory begins; bytes of an offset or a count, of the number of entries, and of an entry
    let (directory, long, entries_size, entry_size) = if is_big { (8, 8, 8, 20) } else { (4, 4, 2, 12) };
    let Some(start) = number(directory, long).and_then(|at| usize::try_from(at).ok()) else { return Ok(()) };
    let first = start.saturating_add(entries_size);
    let entries = number(start, entries_size).unwrap_or(0).min((bytes.len() / entry_size) as u64) as usize;
    for entry in (0..entries).map(|i| first.saturating_add(i * entry_size)) {
        let count = number(entry.saturating_add(4), long).unwrap_or(0);
        if number(entry.saturating_add(2), 2) == Some(TEXT) && count > bytes.len() as u64 {
            return Err(undecodable("the TIFF's tags are damaged (a text longer than the file)"));
        }
    }
    Ok(())
}

/// A camera's RAW file keeps a small preview where a TIFF has its picture: to read that one would be silently wrong.
fn refuse_raw(tags: &mut Tags<'_>) -> Result<(), Problem> {
    let has = |tags: &mut Tags<'_>, tag| tags.find_tag(tag).is_ok_and(|value| value.is_some());
    let is_preview = number::<u32>(tags, Tag::NewSubfileType)?.unwrap_or(0) & 1 == 1;
    if has(tags, DNG_VERSION) || (is_preview && has(tags, Tag::SubIfd)) {
        return Err(Problem::Unread(RAW_TIFF));
    }
    Ok(())
}

/// The colour map: all reds, all greens, all blues, of 16 bits each. Pillow keeps the high byte.
fn colours(map: &[u16]) -> Vec<[u8; 3]> {
    let count = (map.len() / 3).min(256);
    let third = map.len() / 3;
    (0..count).map(|i| [map[i], map[third + i], map[2 * third + i]].map(|value| (value >> 8) as u8)).collect()
}

fn number<T: TryFrom<u64>>(tags: &mut Tags<'_>, tag: Tag) -> Result<Option<T>, Problem> {
    Ok(numbers(tags, tag)?.into_iter().next())
}

fn numbers<T: TryFrom<u64>>(tags: &mut Tags<'_>, tag: Tag) -> Result<Vec<T>, Problem> {
    let values = tags.find_tag_unsigned_vec(tag).map_err(|error| tag_problem(&error))?;
    Ok(values.unwrap_or_default())
}

fn bytes_of(tags: &mut Tags<'_>, tag: Tag) -> Result<Option<Vec<u8>>, Problem> {
    let value = tags.find_tag(tag).map_err(|error| tag_problem(&error))?;
    value.map(|value| value.into_u8_vec().map_err(|error| tag_problem(&error))).transpose()
}

fn tag_problem(error: &TiffError) -> Problem {
    match error {
        TiffError::IoError(_) => undecodable("the TIFF is truncated"),
        TiffError::LimitsExceeded => undecodable("the TIFF's tags are longer than is sane"),
        other => undecodable(format!("the TIFF's tags are damaged or unusual: {other}")),
    }
}
