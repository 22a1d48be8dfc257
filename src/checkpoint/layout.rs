//! How files spell the names of SAM2's image encoder, and how these become published names.
//!
//! A published name is one of a SAM2-UNet checkpoint: `encoder.blocks.7.block.attn.qkv.weight`.

use serde::Serialize;
use std::fmt;

/// How a file spells the names of the trunk's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// A whole SAM2-UNet: `encoder.blocks.7.block.mlp.layers.0.weight`, `rfb1...`, `up1...`, `head...`.
    Sam2Unet,
    /// Meta's SAM2 and SAM2.1 files: `image_encoder.trunk.blocks.7.mlp.layers.0.weight`, other parts beside it.
    Meta,
    /// The trunk alone in Meta's spelling: `trunk.blocks.7.mlp.layers.0.weight`.
    Trunk,
    /// The transformers library: `vision_encoder.backbone.blocks.7.mlp.proj_in.weight`, other parts beside it.
    Transformers,
    /// The timm library: `blocks.7.mlp.fc1.weight`.
    Timm,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Sam2Unet => "SAM2-UNet",
            Layout::Meta => "SAM2 (Meta)",
            Layout::Trunk => "SAM2 trunk alone",
            Layout::Transformers => "SAM2 (transformers)",
            Layout::Timm => "SAM2 trunk (timm)",
        })
    }
}

/// What a tensor of a weight file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// SAM2's image encoder.
    Trunk,
    /// The adapters before its blocks (`prompt_learn`).
    Adapters,
    /// The receptive-field blocks (`rfb1` to `rfb4`).
    Rfb,
    /// `up1` to `up3`, `side1`, `side2` and `head`.
    Decoder,
    /// `up4`, stored and never used.
    Unused,
    /// Another part of SAM2 (neck, memory, prompt encoder, mask decoder) or timm's classification head.
    OtherSam2,
    /// None of these.
    Unknown,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Trunk => "trunk",
            Part::Adapters => "adapters",
            Part::Rfb => "RFB",
            Part::Decoder => "decoder",
            Part::Unused => "up4 (unused)",
            Part::OtherSam2 => "other parts of SAM2",
            Part::Unknown => "unknown",
        })
    }
}

/// The trunk's modules as Meta, transformers and timm call them. In a SAM2-UNet file the names are Meta's, with `.block`
/// after a block's number. This table is the only place that knows these names.
const MODULES: [[&str; 3]; 8] = [
    ["patch_embed.proj", "patch_embed.projection", "patch_embed.proj"],
    ["norm1", "layer_norm1", "norm1"],
    ["attn.qkv", "attn.qkv", "attn.qkv"],
    ["attn.proj", "attn.proj", "attn.proj"],
    ["norm2", "layer_norm2", "norm2"],
    ["mlp.layers.0", "mlp.proj_in", "mlp.fc1"],
    ["mlp.layers.1", "mlp.proj_out", "mlp.fc2"],
    ["proj", "proj", "proj"],
];
/// The trunk's weights outside of any module, spelled the same everywhere.
const POSITIONS: [&str; 2] = ["pos_embed", "pos_embed_window"];

/// What may stand before the trunk's names, for each layout; the first of a layout is the usual one. What else stands
/// before these words is found by `names`.
const PREFIXES: [(Layout, &[&str]); 5] = [
    (Layout::Sam2Unet, &["encoder."]),
    (Layout::Meta, &["image_encoder.trunk.", "model.image_encoder.trunk.", "sam2_model.image_encoder.trunk."]),
    (Layout::Trunk, &["trunk.", "model.trunk.", "encoder.trunk.", "backbone.", "encoder.", "model.", ""]),
    (Layout::Transformers, &["vision_encoder.backbone.", "model.vision_encoder.backbone.", "backbone.", "model.", ""]),
    (Layout::Timm, &["", "model.", "trunk.", "model.trunk.", "backbone.", "encoder."]),
];

/// How the names of SAM2's other parts begin: Meta's, transformers', timm's.
const OTHER_PARTS: [&str; 26] = [
    "image_encoder.neck.",
    "memory_attention.",
    "memory_encoder.",
    "sam_mask_decoder.",
    "sam_prompt_encoder.",
    "maskmem_tpos_enc",
    "mask_downsample.",
    "no_mem_embed",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "vision_encoder.neck.",
    "neck.",
    "mask_decoder.",
    "prompt_encoder.",
    "shared_image_embedding.",
    "memory_temporal_positional_encoding",
    "no_memory_embedding",
    "no_memory_positional_encoding",
    "no_object_pointer",
    "object_pointer_proj.",
    "temporal_positional_encoding_projection_layer.",
    "occlusion_spatial_embedding_parameter",
    "head.",
];

/// A layout and the prefix that one file uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    layout: Layout,
    prefix: &'static str,
}

impl Spelling {
    /// The spelling that turns most of `keys` into names of the trunk; `None` where none turns any.
    pub(super) fn recognise<'k>(keys: impl Iterator<Item = &'k str> + Clone) -> Option<Self> {
        let mut best = None;
        let mut most = 0;
        for (layout, prefix) in Self::all() {
            let spelling = Spelling { layout, prefix };
            let named = keys.clone().filter(|key| spelling.is_trunk(key)).count();
            if named > most {
                (best, most) = (Some(spelling), named);
            }
        }
        best
    }

    /// Every layout with every prefix that it may have.
    pub(super) fn all() -> impl Iterator<Item = (Layout, &'static str)> {
        PREFIXES.into_iter().flat_map(|(layout, prefixes)| prefixes.iter().map(move |prefix| (layout, *prefix)))
    }

    /// That layout with that prefix.
    pub(super) fn at(layout: Layout, prefix: &'static str) -> Self {
        Spelling { layout, prefix }
    }

    /// Whether a key is a name of the trunk.
    pub(super) fn is_trunk(self, key: &str) -> bool {
        self.trunk_name(key).is_some()
    }

    pub(super) fn layout(self) -> Layout {
        self.layout
    }

    /// The column of [`MODULES`].
    fn column(self) -> usize {
        match self.layout {
            Layout::Sam2Unet | Layout::Meta | Layout::Trunk => 0,
            Layout::Transformers => 1,
            Layout::Timm => 2,
        }
    }

    /// What stands between a block's number and the module's name.
    fn inside_block(self) -> &'static str {
        if self.layout == Layout::Sam2Unet { "block." } else { "" }
    }

    /// The published name of one of the trunk's weights; `None` for any other key.
    fn trunk_name(self, key: &str) -> Option<String> {
        let name = key.strip_prefix(self.prefix)?;
        if POSITIONS.contains(&name) {
            return Some(format!("encoder.{name}"));
        }
        let (module, kind) = name.rsplit_once('.')?;
        if !matches!(kind, "weight" | "bias") {
            return None;
        }
        let (block, module) = match module.strip_prefix("blocks.") {
            Some(rest) => {
                let (number, module) = rest.split_once('.')?;
                if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                (format!("blocks.{number}.block."), module.strip_prefix(self.inside_block())?)
            }
            None => (String::new(), module),
        };
        let [published, ..] = MODULES.iter().find(|names| names[self.column()] == module)?;
        // `patch_embed` is the only module outside of the blocks
        if published.starts_with("patch_embed") != block.is_empty() {
            return None;
        }
        Some(format!("encoder.{block}{published}.{kind}"))
    }

    /// The published name of a key: of the trunk always, of the rest in a SAM2-UNet file.
    pub(super) fn published(self, key: &str) -> Option<String> {
        self.trunk_name(key).or_else(|| (self.layout == Layout::Sam2Unet).then(|| key.to_owned()))
    }

    /// How this file would spell a published name: the inverse of [`Self::published`].
    pub(super) fn spelled(self, published: &str) -> String {
        let inner = published.strip_prefix("encoder.").unwrap_or(published);
        if self.layout == Layout::Sam2Unet {
            return published.to_owned();
        }
        let (before, name) = match inner.split_once(".block.") {
            Some((block, name)) => (format!("{block}."), name),
            None => (String::new(), inner),
        };
        let spelled = name.rsplit_once('.').and_then(|(module, kind)| {
            let names = MODULES.iter().find(|names| names[0] == module)?;
            Some(format!("{}.{kind}", names[self.column()]))
        });
        format!("{}{before}{}", self.prefix, spelled.as_deref().unwrap_or(name))
    }

    /// What a key of the file belongs to.
    pub(super) fn part(self, key: &str) -> Part {
        if self.trunk_name(key).is_some() {
            return Part::Trunk;
        }
        if self.layout == Layout::Sam2Unet {
            return self.published(key).map_or(Part::Unknown, |name| published_part(&name));
        }
        // a wrapper around the whole of SAM2 stands before its other parts as well
        let usual = PREFIXES.iter().find(|(layout, _)| *layout == self.layout).map_or("", |(_, prefixes)| prefixes[0]);
        let wrapper = self.prefix.strip_suffix(usual).unwrap_or_default();
        let name = key.strip_prefix(wrapper).unwrap_or(key);
        if OTHER_PARTS.iter().any(|part| name.starts_with(part)) { Part::OtherSam2 } else { Part::Unknown }
    }

    /// Whether a key that is no name of the trunk stands where the trunk's names stand.
    pub(super) fn inside_trunk(self, key: &str) -> bool {
        key.strip_prefix(self.prefix).is_some_and(|name| {
            let adapter = self.layout == Layout::Sam2Unet && name.contains(".prompt_learn.");
            !adapter && ["blocks.", "patch_embed.", "pos_embed"].iter().any(|start| name.starts_with(start))
        })
    }
}

/// What a published name belongs to.
pub(super) fn published_part(name: &str) -> Part {
    let top = name.split('.').next().unwrap_or_default();
    match top {
        "encoder" if name.contains(".prompt_learn.") => Part::Adapters,
        "encoder" => Part::Trunk,
        "rfb1" | "rfb2" | "rfb3" | "rfb4" => Part::Rfb,
        "up1" | "up2" | "up3" | "side1" | "side2" | "head" => Part::Decoder,
        "up4" => Part::Unused,
        _ => Part::Unknown,
    }
}

/// The name under which [`super::convert`] writes one of the trunk's weights: Meta's.
pub(super) fn trunk_file_name(published: &str) -> String {
    Spelling { layout: Layout::Meta, prefix: "image_encoder.trunk." }.spelled(published)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: [&str; 6] = [
        "encoder.pos_embed",
        "encoder.pos_embed_window",
        "encoder.patch_embed.proj.weight",
        "encoder.blocks.0.block.norm1.bias",
        "encoder.blocks.11.block.mlp.layers.0.weight",
        "encoder.blocks.11.block.proj.weight",
    ];

    #[test]
    fn every_spelling_goes_there_and_back() {
        for (layout, prefixes) in PREFIXES {
            for prefix in prefixes {
                let spelling = Spelling { layout, prefix };
                let keys = PUBLISHED.map(|name| spelling.spelled(name));
                assert_eq!(keys.each_ref().map(|key| spelling.published(key).unwrap_or_default()), PUBLISHED);
                let found = Spelling::recognise(keys.iter().map(String::as_str))
                    .map(|s| (s.column(), s.inside_block(), s.prefix));
                assert_eq!(found, Some((spelling.column(), spelling.inside_block(), spelling.prefix)), "{keys:?}");
            }
        }
    }

    #[test]
    fn names_of_each_layout() {
        let spelled = |layout| {
            let (_, prefixes) = PREFIXES.into_iter().find(|(l, _)| *l == layout).expect("every layout has prefixes");
            Spelling { layout, prefix: prefixes[0] }.spelled("encoder.blocks.11.block.mlp.layers.0.weight")
        };
        assert_eq!(spelled(Layout::Sam2Unet), "encoder.blocks.11.block.mlp.layers.0.weight");
        assert_eq!(spelled(Layout::Meta), "image_encoder.trunk.blocks.11.mlp.layers.0.weight");
        assert_eq!(spelled(Layout::Trunk), "trunk.blocks.11.mlp.layers.0.weight");
        assert_eq!(spelled(Layout::Transformers), "vision_encoder.backbone.blocks.11.mlp.proj_in.weight");
        assert_eq!(spelled(Layout::Timm), "blocks.11.mlp.fc1.weight");
    }

    #[test]
    fn other_parts_are_told_from_the_unknown() {
        let meta = Spelling { layout: Layout::Meta, prefix: "image_encoder.trunk." };
        assert_eq!(meta.part("image_encoder.neck.convs.0.conv.weight"), Part::OtherSam2);
        assert_eq!(meta.part("sam_mask_decoder.iou_token.weight"), Part::OtherSam2);
        assert_eq!(meta.part("image_encoder.trunk.pos_embed"), Part::Trunk);
        assert_eq!(meta.part("image_encoder.trunk.pos_embed_windows"), Part::Unknown);
        assert!(meta.inside_trunk("image_encoder.trunk.pos_embed_windows"));
        assert!(!meta.inside_trunk("ema.decay"));
        let unet = Spelling { layout: Layout::Sam2Unet, prefix: "encoder." };
        assert_eq!(unet.part("encoder.blocks.3.prompt_learn.0.weight"), Part::Adapters);
        assert_eq!(unet.part("up4.conv.double_conv.0.weight"), Part::Unused);
        assert_eq!(unet.part("optimizer"), Part::Unknown);
    }

    #[test]
    fn nothing_of_a_trunk_is_no_layout() {
        assert_eq!(Spelling::recognise(["conv1.weight", "fc.bias", "blocks.x.norm1.weight"].into_iter()), None);
    }
}
