//! The part of Python's pickle that `torch.save` writes, read without running anything.
//!
//! A pickle is a program for a small stack machine (the opcodes are documented in CPython's `pickletools.py`). Here the
//! machine builds plain data only: the classes and functions that it may name stand in one table, `allowed`, and
//! "calling" one of them fills in a Rust value. Everything else is refused by name.
//!
//! Objects live in one list and refer to each other by number, so sharing and cycles cost nothing and no depth of
//! nesting can overflow the stack.

pub(super) mod allowed;
pub(super) mod calls;
pub(super) mod input;
pub(super) mod object;
pub(super) mod run;
pub(super) mod stack;
pub(super) mod state_dict;
