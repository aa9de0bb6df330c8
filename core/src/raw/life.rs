//! Knowing what became of a primitive without having it.

/// What is known of a primitive of which one may have no handle any more: see
/// [`RawContext::life_of`](crate::raw::RawContext::life_of).
///
/// ```
/// use procbox_core::raw::Life;
/// struct Gone;
/// impl Life for Gone {
///     fn id(&self) -> u64 {
///         1
///     }
///     fn messages(&self) -> Option<usize> {
///         None
///     }
/// }
/// assert!(Gone.messages().is_none());
/// ```
pub trait Life: Send + Sync {
    /// A number that no other primitive of its context has, nor had.
    fn id(&self) -> u64;

    /// `None` once it is gone: no process has it, and no message carries it; an end of a pipe is there as
    /// long as either is. Else the messages that are in it, or that this end of a pipe has sent and the other
    /// has not received: never too few, and at most one too many.
    fn messages(&self) -> Option<usize>;
}
