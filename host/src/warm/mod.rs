//! Warm processes: one process begins, and later ones go on from where it was.
//!
//! 1. The program is compiled once more with all its state exported ([`instrument`]), and a process of
//!    it runs: an initialiser, or its `main`.
//! 2. When that has returned, or calls `snapshot`, its memory and globals are read ([`Capture`]), unless
//!    there is something that an image cannot have: a handle, an open file, a child.
//! 3. The image and the program come to a module that begins with that state ([`rewrite`]): a program
//!    like any other, checked, compiled, cached and instantiated as such. So nothing of one process can
//!    reach another but by the image, which both begin with.
//!
//! Steps 1 and 3 read a module that nobody trusts, so both are done where it is compiled: see
//! [`crate::compile`]. The rewriting itself is wasmtime-wizer's, which refuses programs that change
//! their tables.

mod capture;
mod image;
mod rewrite;

pub(crate) use capture::{Capture, Paused, Ready};
pub(crate) use image::Image;
pub(crate) use rewrite::{instrument, is_warm, rewrite};

/// The prefix of what an instrumented module exports of its globals, and of its memories.
pub(crate) const GLOBALS: &str = "__wizer_global_";
pub(crate) const MEMORIES: &str = "__wizer_memory_";
