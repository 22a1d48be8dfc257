//! The programs as a user meets them.

mod evaluate;
