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
/// Where one alone can have what has come (a message, a permit, a lock), one is woken for it, not all. So
/// who was woken says what became of it: by [`Watch::tried`] after a try, or by dropping the watch if it
/// does not try any more. Then another is woken in its place. A wake that comes during a try may be for
/// what the try did not see, and is handed on: so who tries says [`Watch::about_to_try`] before.
///
/// ```
/// use procbox_core::raw::Watch;
/// let watch = Watch::new("a place in a list, which is left when it is dropped");
/// drop(watch);
/// ```
#[must_use = "who drops it is not woken"]
pub struct Watch(Box<dyn Place>);

/// What keeps a watch: dropped without a word, it hands on the wake that it may have had.
///
/// ```
/// use procbox_core::raw::{Place, Watch};
/// struct Mine;
/// impl Place for Mine {
///     fn tried(self: Box<Self>, found: bool) {
///         println!("the try found {}", if found { "something" } else { "nothing" });
///     }
/// }
/// Watch::of(Mine).tried(true);
/// ```
pub trait Place: Send {
    /// Notes, before a try, whether it has had its wake: one that comes after this is not for the try, and
    /// is handed on where that finds nothing. Who does not say it may lose such a wake.
    fn about_to_try(&mut self) {}

    /// Ends it after a try, which found what was waited for, or did not. A wake that it had was of use, and
    /// is not handed on; but where one wake stands for several changes, one that found something wakes
    /// the next.
    fn tried(self: Box<Self>, found: bool);
}

/// One that has nothing to hand on.
struct Plain(#[expect(dead_code, reason = "it is dropped")] Box<dyn Any + Send>);

impl Place for Plain {
    fn tried(self: Box<Self>, _: bool) {}
}

impl Place for (Watch, Watch) {
    fn about_to_try(&mut self) {
        self.0.about_to_try();
        self.1.about_to_try();
    }

    fn tried(self: Box<Self>, found: bool) {
        self.0.tried(found);
        self.1.tried(found);
    }
}

impl Watch {
    /// A watch that ends when this is dropped. Nobody else waits for its wake.
    ///
    /// ```
    /// let _watch = procbox_core::raw::Watch::new(7u32);
    /// ```
    pub fn new(place: impl Any + Send) -> Watch {
        Watch::of(Plain(Box::new(place)))
    }

    /// A watch that says what becomes of its wake. Two watches are a place too.
    ///
    /// ```
    /// use procbox_core::raw::Watch;
    /// let (here, there) = (Watch::new(1), Watch::new(2));
    /// Watch::of((here, there)).tried(false);
    /// ```
    pub fn of(place: impl Place + 'static) -> Watch {
        Watch(Box::new(place))
    }

    /// Says that a try follows, after which comes [`Watch::tried`].
    ///
    /// ```
    /// let mut watch = procbox_core::raw::Watch::new(7u32);
    /// watch.about_to_try();
    /// watch.tried(false);
    /// ```
    pub fn about_to_try(&mut self) {
        self.0.about_to_try();
    }

    /// Ends it after a try that found what was waited for, or did not.
    ///
    /// ```
    /// procbox_core::raw::Watch::new(7u32).tried(true);
    /// ```
    pub fn tried(self, found: bool) {
        self.0.tried(found);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
