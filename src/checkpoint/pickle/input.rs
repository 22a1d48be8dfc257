//! The bytes of a pickle.

use std::borrow::Cow;

use crate::checkpoint::error::Fault;

/// The bytes of a pickle, read from front to back.
#[derive(Default)]
pub(super) struct Input<'p> {
    pub(super) bytes: &'p [u8],
    pub(super) position: usize,
}

impl<'p> Input<'p> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'p [u8], Fault> {
        let taken = self.bytes.get(self.position..).and_then(|rest| rest.get(..count)).ok_or_else(|| {
            Fault::Damaged(format!("its pickle ends in the middle of an instruction, at byte {}", self.position))
        })?;
        self.position += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    /// A length of 4 or 8 bytes. One that is too long for memory is also too long for the file.
    pub(super) fn length4(&mut self) -> Result<usize, Fault> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    pub(super) fn length8(&mut self) -> Result<usize, Fault> {
        Ok(usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX))
    }

    pub(super) fn line(&mut self) -> Result<Cow<'p, str>, Fault> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let line = self.take(length)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(line))
    }
}
