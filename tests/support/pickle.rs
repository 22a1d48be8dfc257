//! Pickles, written by hand.

/// An assembler for the few instructions that the tests need.
#[derive(Default, Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Pickle(vec![0x80, 2])
    }
    pub fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    pub fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }
    pub fn int(self, value: i32) -> Self {
        self.op(b"J").op(&value.to_le_bytes())
    }
    pub fn global(self, module: &str, name: &str) -> Self {
        self.op(b"c").op(module.as_bytes()).op(b"\n").op(name.as_bytes()).op(b"\n")
    }
    pub fn ints(self, values: &[i32]) -> Self {
        values.iter().fold(self.op(b"("), |pickle, &v| pickle.int(v)).op(b"t")
    }
    pub fn tensor(self, kind: &str, storage: &str, elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Self {
        self.tensor_begun(kind, storage, elements, offset, shape, strides).op(b"tR")
    }
    /// With its arguments still open.
    pub fn tensor_begun(
        self,
        kind: &str,
        storage: &str,
        elements: i32,
        offset: i32,
        shape: &[i32],
        strides: &[i32],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(b"((")
            .text("storage")
            .global("torch", kind)
            .text(storage)
            .text("cpu")
            .int(elements)
            .op(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .op(b"\x89")
            .global("collections", "OrderedDict")
            .op(b")R")
    }
    pub fn stop(self) -> Vec<u8> {
        self.op(b".").0
    }
}
