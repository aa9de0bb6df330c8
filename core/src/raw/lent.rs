//! The memory of one message, in the hands of one process: lent by a queue to write a message in, or with
//! a message in it that was taken.

use std::any::Any;
use std::fmt;

/// Memory that a backend lends, where a message lies as it travels. Dropped, it goes back.
///
/// ```
/// use procbox_core::raw::{Lent, RawLoan};
///
/// /// A backend's place for messages, as tests have it.
/// struct Place([u8; 16], usize);
///
/// impl RawLoan for Place {
///     fn bytes(&self) -> &[u8] {
///         &self.0[..self.1]
///     }
///     fn bytes_mut(&mut self) -> &mut [u8] {
///         &mut self.0[..self.1]
///     }
///     fn truncate(&mut self, bytes: usize) {
///         self.1 = self.1.min(bytes);
///     }
/// }
///
/// let mut lent = Lent::place(Place([0; 16], 16));
/// lent.bytes_mut()[0] = 7;
/// lent.truncate(2);
/// assert_eq!(lent.bytes(), [7, 0]);
/// ```
pub trait RawLoan: Any + Send {
    /// The message.
    fn bytes(&self) -> &[u8];

    /// The message, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Makes it shorter.
    fn truncate(&mut self, bytes: usize);
}

/// The memory of one message: a place that a backend lends, or a buffer of this process's own.
///
/// ```
/// let mut lent = procbox_core::raw::Lent::own(vec![1, 2, 3]);
/// lent.truncate(2);
/// assert_eq!(lent.bytes(), [1, 2]);
/// assert_eq!(lent.take_own(), Some(vec![1, 2]));
/// ```
pub struct Lent(Memory);

enum Memory {
    Own(Vec<u8>),
    Place(Box<dyn RawLoan>),
}

impl Lent {
    /// A buffer of this process's own.
    ///
    /// ```
    /// assert_eq!(procbox_core::raw::Lent::own(vec![7]).bytes(), [7]);
    /// ```
    pub fn own(bytes: Vec<u8>) -> Lent {
        Lent(Memory::Own(bytes))
    }

    /// A backend's place. [`RawLoan`] has an example.
    pub fn place(place: impl RawLoan) -> Lent {
        Lent(Memory::Place(Box::new(place)))
    }

    /// The message.
    ///
    /// ```
    /// assert!(procbox_core::raw::Lent::own(Vec::new()).bytes().is_empty());
    /// ```
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Memory::Own(bytes) => bytes,
            Memory::Place(place) => place.bytes(),
        }
    }

    /// The message, to be written.
    ///
    /// ```
    /// let mut lent = procbox_core::raw::Lent::own(vec![0; 2]);
    /// lent.bytes_mut().fill(7);
    /// assert_eq!(lent.bytes(), [7, 7]);
    /// ```
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Own(bytes) => bytes,
            Memory::Place(place) => place.bytes_mut(),
        }
    }

    /// Makes the message shorter.
    ///
    /// ```
    /// let mut lent = procbox_core::raw::Lent::own(vec![1, 2]);
    /// lent.truncate(1);
    /// assert_eq!(lent.bytes(), [1]);
    /// ```
    pub fn truncate(&mut self, bytes: usize) {
        match &mut self.0 {
            Memory::Own(own) => own.truncate(bytes),
            Memory::Place(place) => place.truncate(bytes),
        }
    }

    /// Takes the buffer out, if it is this process's own; it is empty then.
    ///
    /// ```
    /// let mut lent = procbox_core::raw::Lent::own(vec![7]);
    /// assert_eq!((lent.take_own(), lent.bytes().len()), (Some(vec![7]), 0));
    /// ```
    pub fn take_own(&mut self) -> Option<Vec<u8>> {
        match &mut self.0 {
            Memory::Own(bytes) => Some(std::mem::take(bytes)),
            Memory::Place(_) => None,
        }
    }

    /// The place, if it is one of this type.
    ///
    /// ```
    /// # use procbox_core::raw::{Lent, RawLoan};
    /// # struct Empty;
    /// # impl RawLoan for Empty {
    /// #     fn bytes(&self) -> &[u8] {
    /// #         &[]
    /// #     }
    /// #     fn bytes_mut(&mut self) -> &mut [u8] {
    /// #         &mut []
    /// #     }
    /// #     fn truncate(&mut self, _: usize) {}
    /// # }
    /// assert!(Lent::place(Empty).place_mut::<Empty>().is_some());
    /// assert!(Lent::own(vec![7]).place_mut::<Empty>().is_none());
    /// ```
    pub fn place_mut<T: RawLoan>(&mut self) -> Option<&mut T> {
        match &mut self.0 {
            Memory::Own(_) => None,
            Memory::Place(place) => (&mut **place as &mut dyn Any).downcast_mut(),
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent({} bytes)", self.bytes().len())
    }
}
