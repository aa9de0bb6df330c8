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
/// what the try did not see: who tries asks [`Watch::was_woken`] before, and if it was not, drops the watch
/// after the try, whatever that found.
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
    /// Ends it after a try, which found what was waited for, or did not. A wake that it had was of use, and
    /// is not handed on; but where one wake stands for several changes, one that found something wakes
    /// the next.
    fn tried(self: Box<Self>, found: bool);

    /// True if its wake has come, or if it does not know. The waker is woken by a later one all the same.
    fn was_woken(&mut self) -> bool {
        true
    }
}

/// One that has nothing to hand on.
struct Plain(#[expect(dead_code, reason = "it is dropped")] Box<dyn Any + Send>);

impl Place for Plain {
    fn tried(self: Box<Self>, _: bool) {}
}

impl Place for (Watch, Watch) {
    fn tried(self: Box<Self>, found: bool) {
        self.0.tried(found);
        self.1.tried(found);
    }

    fn was_woken(&mut self) -> bool {
        let (here, there) = (self.0.was_woken(), self.1.was_woken());
        here || there
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

    /// Ends it after a try that found what was waited for, or did not.
    ///
    /// ```
    /// procbox_core::raw::Watch::new(7u32).tried(true);
    /// ```
    pub fn tried(self, found: bool) {
        self.0.tried(found);
    }

    /// True if its wake has come, or if that is not known: asked before a try, whose outcome then is what
    /// became of that wake. One that comes later is handed on by dropping the watch.
    ///
    /// ```
    /// # use procbox_core::raw::Watch;
    /// fn attempt(mut watch: Watch, get: impl Fn() -> Option<u8>) -> Option<u8> {
    ///     let was_woken = watch.was_woken();
    ///     let found = get();
    ///     if was_woken {
    ///         watch.tried(found.is_some());
    ///     }
    ///     found
    /// }
    /// assert_eq!(attempt(Watch::new(()), || Some(7)), Some(7));
    /// ```
    pub fn was_woken(&mut self) -> bool {
        self.0.was_woken()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
