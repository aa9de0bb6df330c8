//! Values to bytes and back, with the handles inside them carried alongside.
//!
//! The format is postcard's. A handle is serialised as its index in the message's list of handles;
//! the list itself passes through a thread-local for the length of one `encode` or `decode`, since
//! serde has no other way to hand a context to a nested `Serialize`.

use crate::{Error, Handle, Result};
use postcard::ser_flavors::Flavor;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;

/// What travels: bytes, and the handles that they refer to by index.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The encoded value.
    pub bytes: Vec<u8>,
    /// The handles in it, in the order of their indices.
    pub handles: Vec<Handle>,
}

impl Message {
    /// Encodes a value.
    ///
    /// ```
    /// let m = procbox_core::Message::of(&("a", 1u8))?;
    /// assert_eq!(m.value::<(String, u8)>()?, ("a".to_string(), 1));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Encode`] if the value cannot be serialised.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Message> {
        let mut bytes = Vec::new();
        let handles = encode(value, &mut bytes)?;
        Ok(Message { bytes, handles })
    }

    /// Decodes the value. The message keeps its handles.
    ///
    /// # Errors
    /// [`Error::Decode`] if the bytes are not a whole `T`.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.bytes, &self.handles)
    }

    /// Decodes the value, which alone has the handles from then on.
    ///
    /// # Errors
    /// Those of [`Message::value`].
    pub fn into_value<T: DeserializeOwned>(self) -> Result<T> {
        self.value()
    }
}

thread_local! {
    /// The handles met so far by the `encode` that runs on this thread.
    static SENT: RefCell<Option<Vec<Handle>>> = const { RefCell::new(None) };
    /// The handles that the `decode` that runs on this thread may refer to.
    static RECEIVED: RefCell<Option<Vec<Handle>>> = const { RefCell::new(None) };
}

/// Puts a thread-local back as it was, also when a `Serialize` panics.
struct Restore(&'static std::thread::LocalKey<RefCell<Option<Vec<Handle>>>>, Option<Vec<Handle>>);

impl Restore {
    #[inline]
    fn swap(
        key: &'static std::thread::LocalKey<RefCell<Option<Vec<Handle>>>>,
        now: Vec<Handle>,
    ) -> Restore {
        Restore(key, key.replace(Some(now)))
    }

    /// Puts it back now, and says what it was last.
    #[inline]
    fn finish(mut self) -> Option<Vec<Handle>> {
        let last = self.0.replace(self.1.take());
        std::mem::forget(self); // It holds nothing any more.
        last
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        self.0.replace(self.1.take());
    }
}

struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends a value to `bytes` and returns the handles in it.
///
/// # Errors
/// [`Error::Encode`] if the value cannot be serialised.
pub fn encode<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<Vec<Handle>> {
    let restore = Restore::swap(&SENT, Vec::new());
    postcard::serialize_with_flavor(value, Append(bytes))
        .map_err(|e| Error::Encode { type_name: std::any::type_name::<T>(), why: e.to_string() })?;
    Ok(restore.finish().unwrap_or_default())
}

/// Decodes a value that uses up all of `bytes` and may refer to `handles`.
///
/// # Errors
/// [`Error::Decode`] if it is not that.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], handles: &[Handle]) -> Result<T> {
    let failed = |why: String| Error::Decode { type_name: std::any::type_name::<T>(), why };
    let taken = if handles.is_empty() {
        postcard::take_from_bytes(bytes)
    } else {
        let _restore = Restore::swap(&RECEIVED, handles.to_vec());
        postcard::take_from_bytes(bytes)
    };
    let (value, rest) = taken.map_err(|e| failed(e.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(failed(format!("{} bytes too many", rest.len()))) }
}

/// Serialises a wrapper as the index of its handle.
pub(crate) fn serialize_handle<S: Serializer>(handle: Handle, s: S) -> Result<S::Ok, S::Error> {
    let index = SENT.with_borrow_mut(|sent| {
        let sent = sent.as_mut()?;
        sent.push(handle);
        Some(sent.len() as u32 - 1)
    });
    match index {
        Some(index) => s.serialize_u32(index),
        None => Err(S::Error::custom("a handle travels in procbox's own messages only")),
    }
}

/// The handle that a serialised index stands for.
pub(crate) fn deserialize_handle<'de, D: Deserializer<'de>>(d: D) -> Result<Handle, D::Error> {
    let index = u32::deserialize(d)? as usize;
    RECEIVED
        .with_borrow(|received| received.as_ref().and_then(|list| list.get(index).cloned()))
        .ok_or_else(|| D::Error::custom("the message does not carry this handle"))
}

/// A byte string: the same bytes on the wire as a `Vec<u8>`, copied at once instead of one by one.
///
/// ```
/// use procbox_core::{Bytes, Message};
/// let m = Message::of(&Bytes(vec![1, 2, 3]))?;
/// assert_eq!(m.value::<Vec<u8>>()?, [1, 2, 3]);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(bytes)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(v.to_vec()))
            }
            fn visit_byte_buf<E>(self, v: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(v))
            }
        }
        d.deserialize_byte_buf(BytesVisitor)
    }
}
