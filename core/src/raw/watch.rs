//! Being told that a try may succeed now, for those who wait without a thread of their own.

use std::any::Any;
use std::fmt;

/// The side of a queue or pipe that is waited for.
///
/// ```
/// use procbox_core::raw::Side;
/// assert_ne!(Side::Items, Side::Room);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A message is there, or none will come any more.
    Items,
    /// There is room for a message, or none will be taken any more.
    Room,
}

/// A watch that a raw primitive keeps: until this is dropped, or once the waker was woken.
///
/// The watch counts from the call that made it: who tries once more after that call, and finds
/// nothing, is woken when that may have changed. A waker may be woken without reason, and one that is
/// woken tries again and makes another watch.
///
/// ```
/// use procbox_core::raw::Watch;
/// let watch = Watch::new("a place in a list, which is left when it is dropped");
/// drop(watch);
/// ```
#[must_use = "who drops it is not woken"]
pub struct Watch(#[expect(dead_code, reason = "it is dropped")] Box<dyn Any + Send>);

impl Watch {
    /// A watch that ends when this is dropped.
    ///
    /// ```
    /// let _watch = procbox_core::raw::Watch::new(7u32);
    /// ```
    pub fn new(place: impl Any + Send) -> Watch {
        Watch(Box::new(place))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
