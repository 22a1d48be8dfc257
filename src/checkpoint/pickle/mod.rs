//! The part of Python's pickle that `torch.save` writes, read without running anything.
//!
//! A pickle is a program for a small stack machine (the opcodes are documented in CPython's `pickletools.py`). Here the
//! machine builds plain data only: the classes and functions that stand for tensors and for built-in data are in one
//! table, `allowed`, and "calling" one of them fills in a Rust value. Nothing is ever run. What any other one would
//! make is an object of which only the name, the items and the attributes are known: it lies beside the weights and is told
//! by name, or it is a module of PyTorch, whose weights are among its attributes.
//!
//! Objects live in one list and refer to each other by number, so sharing and cycles cost nothing and no depth of
//! nesting can overflow the stack.

pub(super) mod allowed;
pub(super) mod calls;
pub(super) mod chain;
pub(super) mod found;
pub(super) mod input;
pub(super) mod module;
pub(super) mod object;
pub(super) mod place;
pub(super) mod rare;
pub(super) mod run;
pub(super) mod search;
pub(super) mod stack;
pub(super) mod unread;
pub(super) mod words;
