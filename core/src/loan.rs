//! Messages of bytes that are written and read in place: where they lie as they travel.

use crate::queue::Queue;
use crate::raw::{Lent, Message, RawQueue};
use crate::{Bytes, Error, Result, Wait};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

/// The most bytes that the length of a byte string takes before it.
const MOST_PREFIX: usize = 10;

/// The length of a byte string as it stands before it in a message: seven bits a byte, the lowest first.
fn prefix(length: usize, into: &mut [u8; MOST_PREFIX]) -> usize {
    let mut left = length as u64;
    for (at, byte) in into.iter_mut().enumerate() {
        *byte = left as u8 & 0x7f;
        left >>= 7;
        if left == 0 {
            return at + 1;
        }
        *byte |= 0x80;
    }
    MOST_PREFIX
}

/// Where the contents of a message begin that is one byte string.
fn contents(message: &[u8]) -> Result<usize> {
    let mut length = 0u64;
    for (at, byte) in message.iter().take(MOST_PREFIX).enumerate() {
        length |= u64::from(byte & 0x7f).checked_shl(7 * at as u32).unwrap_or(u64::MAX);
        if byte & 0x80 == 0 {
            let begin = at + 1;
            if length == (message.len() - begin) as u64 {
                return Ok(begin);
            }
            break;
        }
    }
    let why = "it is not one byte string".to_string();
    Err(Error::Decode { type_name: std::any::type_name::<Bytes>(), why })
}

/// A message that is written in place and then put: bytes that the queue has lent, as slices have them.
/// [`Queue::loan`] makes it. Dropped, nothing is put, and the memory goes back.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let frames = ctx.queue::<procbox_core::Bytes>(4)?;
/// let mut frame = frames.loan(1920 * 1080)?;
/// frame.fill(255);
/// frame.put()?;
/// assert_eq!(frames.get_loaned()?.len(), 1920 * 1080);
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub struct Loan {
    queue: Arc<dyn RawQueue>,
    lent: Lent,
    /// Where the contents begin.
    begin: usize,
}

/// A loan that could not be put, and why: the loan can be tried again.
///
/// ```no_run
/// # use procbox_core::{Bytes, Error, Queue};
/// # fn example(q: Queue<Bytes>) -> procbox_core::Result<()> {
/// let mut loan = q.loan(1 << 20)?;
/// loan.fill(7);
/// if let Err(unsent) = loan.try_put() {
///     assert_eq!(unsent.error, Error::Full);
///     unsent.loan.put()?; // waits for room
/// }
/// # Ok(()) }
/// ```
pub struct Unsent {
    /// The loan, as it was.
    pub loan: Loan,
    /// Why it was not put.
    pub error: Error,
}

impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsent({:?}, {:?})", self.error, self.loan)
    }
}

impl Loan {
    /// Puts it; waits while the queue is full. Who gets it by [`Queue::get`] has a [`Bytes`].
    ///
    /// ```no_run
    /// # use procbox_core::{Bytes, Queue};
    /// # fn example(q: Queue<Bytes>) -> procbox_core::Result<()> {
    /// let mut loan = q.loan(5)?;
    /// loan.copy_from_slice(b"hello");
    /// loan.put()?;
    /// assert_eq!(q.get()?, Bytes::from("hello"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Interrupted`]; the memory goes back.
    pub fn put(self) -> Result<()> {
        self.put_within(Wait::Forever).map_err(|unsent| unsent.error)
    }

    /// Like [`Loan::put`], for at most `timeout`; what could not be put comes back.
    ///
    /// ```no_run
    /// # use procbox_core::{Bytes, Error, Queue};
    /// # use std::time::Duration;
    /// # fn example(full: Queue<Bytes>) -> procbox_core::Result<()> {
    /// let loan = full.loan(5)?;
    /// let unsent = loan.put_timeout(Duration::from_millis(10)).unwrap_err();
    /// assert_eq!(unsent.error, Error::Full);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Loan::put`], and [`Error::Full`].
    pub fn put_timeout(self, timeout: Duration) -> std::result::Result<(), Unsent> {
        self.put_within(Wait::AtMost(timeout))
    }

    /// Like [`Loan::put`], without waiting; what could not be put comes back. [`Unsent`] has an example.
    ///
    /// # Errors
    /// Those of [`Loan::put`], and [`Error::Full`].
    pub fn try_put(self) -> std::result::Result<(), Unsent> {
        self.put_within(Wait::Never)
    }

    fn put_within(mut self, wait: Wait) -> std::result::Result<(), Unsent> {
        match self.queue.put_lent(&mut self.lent, &[], wait) {
            Ok(()) => Ok(()),
            Err(error) => Err(Unsent { loan: self, error }),
        }
    }
}

impl Deref for Loan {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.lent.bytes().get(self.begin..).unwrap_or_default()
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.lent.bytes_mut().get_mut(self.begin..).unwrap_or_default()
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan({} bytes)", self.len())
    }
}

/// A message that is read in place, as slices are; dropped, its memory goes back. [`Queue::get_loaned`]
/// makes it.
///
/// ```no_run
/// # use procbox_core::{Bytes, Queue};
/// # fn example(q: Queue<Bytes>) -> procbox_core::Result<()> {
/// let message = q.get_loaned()?;
/// println!("{} bytes, the first {:?}", message.len(), message.first());
/// # Ok(()) }
/// ```
pub struct Loaned {
    lent: Lent,
    begin: usize,
}

impl Deref for Loaned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.lent.bytes().get(self.begin..).unwrap_or_default()
    }
}

impl fmt::Debug for Loaned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loaned({} bytes)", self.len())
    }
}

impl Queue<Bytes> {
    /// Memory for a message of so many bytes, to be written in place and then put: natively that is the
    /// shared memory itself, so that a large message is not copied at all if it is also got by
    /// [`Queue::get_loaned`]. What is in it at first is unspecified. It does not count as put, and a
    /// process that ends gives back what it has.
    ///
    /// It pays from some 16 KiB on, below which it is about as fast to [`Queue::put`].
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<procbox_core::Bytes>(16)?;
    /// let mut loan = q.loan(1 << 20)?;
    /// for (at, byte) in loan.iter_mut().enumerate() {
    ///     *byte = at as u8;
    /// }
    /// loan.put()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Exhausted`], [`Error::Interrupted`].
    pub fn loan(&self, length: usize) -> Result<Loan> {
        let mut before = [0; MOST_PREFIX];
        let begin = prefix(length, &mut before);
        let size = length.saturating_add(begin);
        let mut lent = match self.raw().loan(size, begin)? {
            Some(lent) => lent,
            None => {
                let limit = self.raw().bounds().bytes;
                if size > limit {
                    return Err(Error::TooLarge { size, limit });
                }
                Lent::own(vec![0; size])
            }
        };
        let place = lent.bytes_mut().get_mut(..begin).ok_or(Error::TooLarge { size, limit: 0 })?;
        place.copy_from_slice(&before[..begin]);
        Ok(Loan { queue: self.raw().clone(), lent, begin })
    }

    /// Like [`Queue::get`], but reads the message where it lies, if it is a large one.
    ///
    /// ```no_run
    /// # use procbox_core::{Bytes, Queue};
    /// # fn example(q: Queue<Bytes>) -> procbox_core::Result<()> {
    /// q.put(&Bytes(vec![7; 1 << 20]))?; // however it was put
    /// let message = q.get_loaned()?;
    /// assert!(message.iter().all(|byte| *byte == 7));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::get`].
    pub fn get_loaned(&self) -> Result<Loaned> {
        self.take(Wait::Forever)
    }

    /// Like [`Queue::get_loaned`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use procbox_core::{Bytes, Error, Queue};
    /// # use std::time::Duration;
    /// # fn example(empty: Queue<Bytes>) {
    /// let got = empty.get_loaned_timeout(Duration::from_millis(10));
    /// assert_eq!(got.unwrap_err(), Error::Empty);
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::get_timeout`].
    pub fn get_loaned_timeout(&self, timeout: Duration) -> Result<Loaned> {
        self.take(Wait::AtMost(timeout))
    }

    /// Like [`Queue::get_loaned`], without waiting.
    ///
    /// ```no_run
    /// # use procbox_core::{Bytes, Error, Queue};
    /// # fn example(empty: Queue<Bytes>) {
    /// assert_eq!(empty.try_get_loaned().unwrap_err(), Error::Empty);
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::try_get`].
    pub fn try_get_loaned(&self) -> Result<Loaned> {
        self.take(Wait::Never)
    }

    fn take(&self, wait: Wait) -> Result<Loaned> {
        let mut message = Message::default();
        let lent = self.raw().get_lent(&mut message, wait)?;
        let lent = lent.unwrap_or_else(|| Lent::own(message.bytes));
        let begin = contents(lent.bytes())?;
        Ok(Loaned { lent, begin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_loan_has_the_bytes_of_a_byte_string(bytes: Vec<u8>, junk: Vec<u8>) {
            let message = Message::of(&Bytes(bytes.clone())).unwrap().bytes;
            let mut before = [0; MOST_PREFIX];
            let begin = prefix(bytes.len(), &mut before);
            prop_assert_eq!(&before[..begin], &message[..begin]);
            prop_assert_eq!(contents(&message), Ok(begin));
            // What is no byte string is none here either.
            let decoded = crate::codec::decode::<Bytes>(&junk, &[]);
            prop_assert_eq!(contents(&junk).is_ok(), decoded.is_ok());
        }

        #[test]
        fn any_length_is_read_as_it_is_written(length: u32) {
            let mut before = [0; MOST_PREFIX];
            let begin = prefix(length as usize, &mut before);
            let mut expected = Vec::new();
            crate::codec::encode(&length, &mut expected).unwrap();
            prop_assert_eq!(&before[..begin], &expected[..]);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for message in [&[][..], &[1], &[2, 7], &[0x80; 10], &[0xff; 12], &[0, 0]] {
            assert!(contents(message).is_err(), "{message:?}");
        }
        assert_eq!(contents(&[0]), Ok(1));
    }
}
