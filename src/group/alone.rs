//! One process.

use super::processes::{Group, GroupError};

/// One process: nothing is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Group for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn host(&self) -> String {
        "this machine".to_string()
    }

    fn local(&self) -> (usize, usize) {
        (0, 1)
    }

    fn gather(&self, mine: &[u8], all: &mut [u8], _: &[usize]) -> Result<(), GroupError> {
        all.copy_from_slice(mine);
        Ok(())
    }

    fn exchange(&self, send: &[u8], _: &[usize], receive: &mut [u8], _: &[usize]) -> Result<(), GroupError> {
        receive.copy_from_slice(send);
        Ok(())
    }

    fn abort(&self, _: &str, status: i32) -> ! {
        std::process::exit(status)
    }
}
