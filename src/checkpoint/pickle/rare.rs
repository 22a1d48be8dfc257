//! Instructions that torch.save writes in old protocols or not at all, and that other programs write.

use crate::checkpoint::error::Fault;

use super::object::Object;
use super::stack::{Machine, underflow};

impl Machine<'_> {
    /// Executes one of them; `at` is where it stands.
    pub(super) fn rare(&mut self, code: u8, at: usize) -> Result<(), Fault> {
        match code {
            // INT (and the truth values of protocol 1), LONG
            b'I' | b'L' => {
                let line = self.input.line()?;
                let object = match line.trim_end_matches(['L', '\r']) {
                    "00" => Object::Bool(false),
                    "01" => Object::Bool(true),
                    digits => digits.parse().map_or(Object::Plain, Object::Int),
                };
                self.push(object)
            }
            // FLOAT
            b'F' => {
                self.input.line()?;
                self.push(Object::Plain)
            }
            // STRING, in quotes; UNICODE
            b'S' | b'V' => {
                let line = self.input.line()?.into_owned();
                let text = line.trim_end_matches('\r');
                let quoted = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
                let text = if code == b'S' { quoted('\'').or_else(|| quoted('"')).unwrap_or(text) } else { text };
                self.push(Object::Text(text.to_owned().into()))
            }
            // PUT, GET
            b'p' | b'g' => {
                let line = self.input.line()?;
                let slot = line.trim_end().parse().map_err(|_| {
                    Fault::Damaged(format!("its pickle numbers an object by something else, at byte {at}"))
                })?;
                if code == b'p' { self.remember(slot) } else { self.recall(slot) }
            }
            // INST, OBJ: a class and its arguments since the last mark
            b'i' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                let arguments = self.pop_to_mark()?;
                self.global(&module, &name)?;
                let callable = self.pop()?;
                let made = self.call_with(callable, &arguments)?;
                self.push(made)
            }
            b'o' => {
                let mut arguments = self.pop_to_mark()?;
                if arguments.is_empty() {
                    return Err(underflow());
                }
                let callable = arguments.remove(0);
                let made = self.call_with(callable, &arguments)?;
                self.push(made)
            }
            // EXT1, EXT2, EXT4: classes by numbers that one program agreed upon with itself
            0x82..=0x84 => {
                let number = self.input.take(1 << (code - 0x82))?;
                let number = number.iter().rev().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte));
                let class = self.foreign("extension", &number.to_string())?;
                self.push(Object::Foreign(class))
            }
            other => Err(Fault::Damaged(format!("its pickle has the instruction 0x{other:02x} at byte {at}"))),
        }
    }
}
