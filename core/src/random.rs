//! Random bytes.
//!
//! The only file of the library that asks the system for them. Everything else asks the [`Random`] of
//! its context, so that a backend may draw them from a seed.

use crate::{Error, Result};
use std::fmt;

/// A source of random bytes.
///
/// A backend says by [`crate::raw::RawContext::random`] where those of its processes come from.
///
/// ```
/// use procbox_core::random::{Random, SystemRandom};
/// let mut nonce = [0; 32];
/// SystemRandom.fill(&mut nonce)?;
/// assert_ne!(nonce, [0; 32]);
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills the whole of `bytes`.
    ///
    /// # Errors
    /// [`Error::Os`] if the system has none.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The random bytes of the system, fit for keys.
///
/// ```
/// use procbox_core::random::{Random, SystemRandom};
/// let (mut one, mut other) = ([0; 16], [0; 16]);
/// SystemRandom.fill(&mut one)?;
/// SystemRandom.fill(&mut other)?;
/// assert_ne!(one, other);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes).map_err(|e| Error::os("random", e.to_string()))
    }
}
