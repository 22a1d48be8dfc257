//! Paths in the tree of published names.

/// A path in the tree of published names, for example `encoder.blocks.7.block`.
#[derive(Clone, Debug, Default)]
pub struct Path {
    name: String,
    index: usize,
}

/// One step down the tree of names: a name, or the number of a module among others of its kind.
pub trait Segment {
    /// The path below `parent`.
    fn below(self, parent: &Path) -> Path;
}

impl Segment for &str {
    /// `parent.name`; `parent` itself if the name is empty.
    fn below(self, parent: &Path) -> Path {
        let name = match (parent.name.as_str(), self) {
            (parent, "") => parent.to_string(),
            ("", name) => name.to_string(),
            (parent, name) => format!("{parent}.{name}"),
        };
        Path { name, index: parent.index }
    }
}

impl Segment for usize {
    /// `parent.number`, which becomes the path's [`index`](Path::index).
    fn below(self, parent: &Path) -> Path {
        Path { index: self, ..self.to_string().as_str().below(parent) }
    }
}

impl Path {
    /// The tree's root, whose name is empty.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path below this one; the same path if `segment` is an empty name.
    pub fn join(&self, segment: impl Segment) -> Self {
        segment.below(self)
    }

    /// The dotted name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number joined last, 0 if there is none: for a Hiera block, its number in the encoder.
    pub fn index(&self) -> usize {
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_set_the_index_and_names_do_not() {
        let block = Path::root().join("encoder").join("blocks").join(7).join("block");
        assert_eq!((block.name(), block.index()), ("encoder.blocks.7.block", 7));
        let named = block.join("").join("3.weight").join("5");
        assert_eq!((named.name(), named.index()), ("encoder.blocks.7.block.3.weight.5", 7));
    }
}
