//! Values of masks that mean no class.

use std::fmt;

use super::values::{IGNORED, PixelValue};

/// Values that are in no table, with their pixels: most pixels first, then numbers before colours, then by value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownValues {
    /// Each value, and how many pixels have it.
    pub found: Vec<(PixelValue, u64)>,
    /// The value of the table that is nearest to the first of them, and its class.
    pub nearest: Option<(PixelValue, u8)>,
}

impl fmt::Display for UnknownValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let several = if self.found.len() == 1 { " means" } else { "s mean" };
        let of_pixels = |pixels: u64| if pixels == 1 { "1 pixel".to_string() } else { format!("{pixels} pixels") };
        write!(f, "{} value{several} no class: ", self.found.len())?;
        for (number, (value, pixels)) in self.found.iter().take(SHOWN).enumerate() {
            write!(f, "{}{value} ({})", if number == 0 { "" } else { ", " }, of_pixels(*pixels))?;
        }
        if self.found.len() > SHOWN {
            write!(f, " and {} more", self.found.len() - SHOWN)?;
        }
        match self.nearest {
            Some((value, IGNORED)) => write!(f, "; nearest to the first is {value}, which is ignored"),
            Some((value, class)) => write!(f, "; nearest to the first is {value}, class {class}"),
            None => Ok(()),
        }
    }
}
