//! A queue of values between processes.

mod polled;

use crate::codec::{self, Lender, Out, deserialize_handle, serialize_handle};
use crate::raw::{Handle, Lent, Message, RawQueue, Waitable};
use crate::{Result, Wait};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    /// Reused by every put of this thread, so that a small message costs no allocation.
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Reused by every get of this thread.
    static IN: RefCell<Message> = const { RefCell::new(Message { bytes: Vec::new(), handles: Vec::new() }) };
}

/// Above this a thread gives its buffer back after use instead of keeping it.
const KEPT_BUFFER: usize = 2 << 20;

/// Encodes a value into this thread's buffer and lends it to `f`.
pub(crate) fn with_encoded<T: Serialize + ?Sized, R>(
    value: &T,
    f: impl FnOnce(&[u8], &[Handle]) -> Result<R>,
) -> Result<R> {
    let mut bytes = OUT.take();
    bytes.clear();
    let result = codec::encode(value, &mut bytes).and_then(|handles| f(&bytes, &handles));
    keep(bytes);
    result
}

fn keep(bytes: Vec<u8>) {
    if bytes.capacity() <= KEPT_BUFFER {
        OUT.replace(bytes);
    }
}

/// An encoded value: in this thread's buffer, or if it is large in memory that was lent for it.
pub(crate) enum Encoded<'a> {
    Here(&'a [u8]),
    Lent(Lent),
}

/// Encodes a value and hands it to `put`.
#[inline]
pub(crate) fn with_encoded_to<T: Serialize + ?Sized>(
    value: &T,
    lender: Lender<'_>,
    put: impl FnOnce(Encoded<'_>, &[Handle]) -> Result<()>,
) -> Result<()> {
    let mut bytes = OUT.take();
    bytes.clear();
    let mut lent = None;
    let encoded = codec::encode_to(value, Out::new(&mut bytes, lender, &mut lent));
    let result = encoded.and_then(|handles| match lent {
        None => put(Encoded::Here(&bytes), &handles),
        Some(lent) => put(Encoded::Lent(lent), &handles),
    });
    keep(bytes);
    result
}

#[inline]
fn put_value<T: Serialize + ?Sized>(raw: &dyn RawQueue, value: &T, wait: Wait) -> Result<()> {
    let lender = |bytes, prefix| raw.loan(bytes, prefix);
    with_encoded_to(value, &lender, |encoded, handles| match encoded {
        Encoded::Here(bytes) => raw.put(bytes, handles, wait),
        Encoded::Lent(mut lent) => raw.put_lent(&mut lent, handles, wait),
    })
}

/// Lends this thread's message to `fill` and decodes what is then in it, or what `fill` has left where it
/// is.
pub(crate) fn with_received<T: DeserializeOwned>(
    fill: impl FnOnce(&mut Message) -> Result<Option<Lent>>,
) -> Result<T> {
    let mut message = IN.take();
    let result = fill(&mut message).and_then(|lent| match lent {
        None => message.value(),
        Some(lent) => codec::decode_owned(lent.bytes(), std::mem::take(&mut message.handles)),
    });
    message.handles.clear();
    if message.bytes.capacity() <= KEPT_BUFFER {
        IN.replace(message);
    }
    result
}

/// A queue of `T` with many producers and many consumers, first in, first out per producer.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let q = ctx.queue::<String>(16)?;
/// q.put("hello")?;
/// assert_eq!(q.get()?, "hello");
/// q.close();
/// assert_eq!(q.get(), Err(procbox_core::Error::Closed));
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub struct Queue<T: ?Sized> {
    raw: Arc<dyn RawQueue>,
    of: PhantomData<fn(&T) -> Box<T>>,
}

impl<T> Queue<T> {
    /// Wraps what a backend made.
    ///
    /// ```
    /// # use procbox_core::{Bounds, Queue};
    /// # let ctx = procbox_core::Context::local([])?;
    /// let raw = ctx.raw().queue(Bounds::default())?;
    /// let q: Queue<u32> = Queue::from_raw(raw); // what `Context::unbounded_queue` does
    /// q.put(&7)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn from_raw(raw: Arc<dyn RawQueue>) -> Queue<T> {
        Queue { raw, of: PhantomData }
    }

    /// The untyped queue below.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(16)?;
    /// assert_eq!(q.raw().bounds().messages, Some(16));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn raw(&self) -> &Arc<dyn RawQueue> {
        &self.raw
    }

    /// Appends a value; waits while the queue is full.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<String>(16)?;
    /// q.put("hello")?; // a `&str` for a `String`
    /// q.put(&format!("{} messages before", q.len()))?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Closed`], [`crate::Error::TooLarge`], [`crate::Error::Encode`],
    /// [`crate::Error::ForeignHandle`], [`crate::Error::Interrupted`].
    pub fn put<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        self.put_as(value, Wait::Forever)
    }

    #[inline]
    pub(crate) fn put_as<V: Serialize + ?Sized>(&self, value: &V, wait: Wait) -> Result<()> {
        put_value(&*self.raw, value, wait)
    }

    /// Like [`Queue::put`], for at most `timeout`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(1)?;
    /// q.put(&1)?;
    /// assert_eq!(q.put_timeout(&2, Duration::from_millis(10)), Err(Error::Full));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::put`], and [`crate::Error::Full`].
    pub fn put_timeout<V: Serialize + ?Sized>(&self, value: &V, timeout: Duration) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        self.put_as(value, Wait::AtMost(timeout))
    }

    /// Like [`Queue::put`], without waiting.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let q = ctx.queue::<u32>(1)?;
    /// match q.try_put(&1) {
    ///     Ok(()) => {}
    ///     Err(Error::Full) => eprintln!("the consumers are behind: dropped"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::put`], and [`crate::Error::Full`].
    pub fn try_put<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        self.put_as(value, Wait::Never)
    }

    /// The messages in it now; another process may change that at any moment.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(16)?;
    /// q.put(&1)?;
    /// q.put(&2)?;
    /// assert_eq!(q.len(), 2);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// `true` if it is empty now.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(16)?;
    /// assert!(q.is_empty());
    /// q.put(&1)?;
    /// assert!(!q.is_empty());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// `true` if it holds as many messages as it may. An unbounded queue is never full.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(1)?;
    /// q.put(&1)?;
    /// assert!(q.is_full());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_full(&self) -> bool {
        let bounds = self.raw.bounds();
        bounds.messages.is_some() && self.raw.len() >= bounds.most_messages()
    }

    /// Closes it for all: puts fail at once, gets drain what is there and then fail.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(16)?;
    /// q.put(&1)?;
    /// q.close();
    /// assert_eq!(q.put(&2), Err(Error::Closed));
    /// assert_eq!((q.get(), q.get()), (Ok(1), Err(Error::Closed)));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn close(&self) {
        self.raw.close();
    }

    /// For [`crate::ready`].
    ///
    /// ```
    /// # use procbox_core::{Wait, ready};
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (first, second) = (ctx.queue::<u32>(16)?, ctx.queue::<String>(16)?);
    /// second.put("hello")?;
    /// let those = [first.waitable(), second.waitable()];
    /// assert_eq!(ready(&ctx, &those, Wait::Forever)?, [1]);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn waitable(&self) -> Waitable {
        Waitable::Queue(self.raw.clone())
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes the oldest value; waits while the queue is empty.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let q = ctx.queue::<u32>(16)?;
    /// # q.close();
    /// loop {
    ///     match q.get() {
    ///         Ok(n) => println!("{n}"),
    ///         Err(Error::Closed) => break, // and drained
    ///         Err(e) => return Err(e),
    ///     }
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Closed`] once closed and drained, [`crate::Error::Decode`],
    /// [`crate::Error::Interrupted`].
    pub fn get(&self) -> Result<T> {
        with_received(|m| self.raw.get_lent(m, Wait::Forever))
    }

    /// Like [`Queue::get`], for at most `timeout`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(16)?;
    /// assert_eq!(q.get_timeout(Duration::from_millis(10)), Err(Error::Empty));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::get`], and [`crate::Error::Empty`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        with_received(|m| self.raw.get_lent(m, Wait::AtMost(timeout)))
    }

    /// Like [`Queue::get`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(16)?;
    /// q.put(&1)?;
    /// q.put(&2)?;
    /// while let Ok(n) = q.try_get() {
    ///     println!("{n}");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::get`], and [`crate::Error::Empty`].
    pub fn try_get(&self) -> Result<T> {
        with_received(|m| self.raw.get_lent(m, Wait::Never))
    }
}

impl<T: ?Sized> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { raw: self.raw.clone(), of: PhantomData }
    }
}

impl<T: ?Sized> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} messages)", self.raw.len())
    }
}

impl<T: ?Sized> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_handle(Handle::Queue(self.raw.clone()), s)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Queue<T>, D::Error> {
        match deserialize_handle(d)? {
            Handle::Queue(raw) => Ok(Queue::from_raw(raw)),
            other => Err(serde::de::Error::custom(format!("a {} is not a queue", other.kind()))),
        }
    }
}
