//! Values to bytes and back, with the handles inside them carried alongside.
//!
//! The format is postcard's. A handle is serialised as its index in the message's list of handles;
//! the list itself passes through a thread-local for the length of one `encode` or `decode`, since
//! serde has no other way to hand a context to a nested `Serialize`.

mod out;

pub(crate) use out::{Lender, Out};

use crate::raw::{Handle, Message};
use crate::{Error, Result, copy};
use postcard::ser_flavors::Flavor;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::{Cell, RefCell};

impl Message {
    /// Encodes a value.
    ///
    /// ```
    /// let m = procbox_core::raw::Message::of(&("a", 1u8))?;
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
    /// ```
    /// use procbox_core::raw::Message;
    /// use procbox_core::Error;
    /// let m = Message::of(&300u64)?;
    /// assert_eq!(m.value::<u64>()?, 300);
    /// assert!(matches!(m.value::<u8>(), Err(Error::Decode { type_name: "u8", .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Decode`] if the bytes are not a whole `T`.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.bytes, &self.handles)
    }

    /// Decodes the value, which alone has the handles from then on.
    ///
    /// ```
    /// let m = procbox_core::raw::Message::of("a")?;
    /// assert_eq!(m.into_value::<String>()?, "a");
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Message::value`].
    pub fn into_value<T: DeserializeOwned>(self) -> Result<T> {
        decode_owned(&self.bytes, self.handles)
    }
}

/// The `encode` that runs on this thread, as far as the handles in its value know it. Plain data, so
/// that a value without handles costs two stores.
#[derive(Clone, Copy)]
struct Sending {
    /// `true` while there is one.
    active: bool,
    /// The handles that it has met, which are the last ones in [`SENT`].
    met: usize,
}

thread_local! {
    static SENDING: Cell<Sending> = const { Cell::new(Sending { active: false, met: 0 }) };
    /// The handles met by the `encode`s that run on this thread, the innermost one's last.
    static SENT: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
    /// `true` while a `decode` with handles runs on this thread.
    static RECEIVING: Cell<bool> = const { Cell::new(false) };
    /// The handles that it may refer to.
    static RECEIVED: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// One `encode` that did not come to its end: puts the thread's state back as it was, also when a
/// `Serialize` panics.
struct Undo {
    outer: Sending,
}

impl Drop for Undo {
    fn drop(&mut self) {
        drop(take_last(SENDING.get().met));
        SENDING.set(self.outer);
    }
}

/// The last handles that were met.
#[cold]
fn take_last(n: usize) -> Vec<Handle> {
    SENT.with_borrow_mut(|sent| sent.split_off(sent.len().saturating_sub(n)))
}

/// Puts the received handles back as they were, also when a `Deserialize` panics.
struct Decoding {
    outer: Vec<Handle>,
    was_receiving: bool,
}

impl Decoding {
    fn begin(handles: Vec<Handle>) -> Decoding {
        Decoding { outer: RECEIVED.replace(handles), was_receiving: RECEIVING.replace(true) }
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        RECEIVED.replace(std::mem::take(&mut self.outer));
        RECEIVING.set(self.was_receiving);
    }
}

/// Appends bytes, of which there are often few: those of a number. A call of memcpy costs more than a few
/// do, and so does a look at the room there is for each.
#[inline]
pub(crate) fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    match *bytes {
        [] => {}
        [a] => to.push(a),
        [a, b] => to.extend_from_slice(&[a, b]),
        [a, b, c] => to.extend_from_slice(&[a, b, c]),
        [a, b, c, d] => to.extend_from_slice(&[a, b, c, d]),
        [a, b, c, d, e] => to.extend_from_slice(&[a, b, c, d, e]),
        [a, b, c, d, e, f] => to.extend_from_slice(&[a, b, c, d, e, f]),
        [a, b, c, d, e, f, g] => to.extend_from_slice(&[a, b, c, d, e, f, g]),
        [a, b, c, d, e, f, g, h] => to.extend_from_slice(&[a, b, c, d, e, f, g, h]),
        _ => copy::append(to, bytes),
    }
}

/// Appends what is serialised.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        append(self.0, data);
        Ok(())
    }

    #[inline]
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
/// ```
/// use procbox_core::codec::{decode, encode};
/// let mut bytes = vec![0];
/// let handles = encode(&(1u8, true), &mut bytes)?;
/// assert_eq!(decode::<(u8, bool)>(&bytes[1..], &handles)?, (1, true));
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Encode`] if the value cannot be serialised.
pub fn encode<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<Vec<Handle>> {
    encode_to(value, Append(bytes))
}

/// Serialises a value by a flavor; the handles in it.
///
/// # Errors
/// Those of [`encode`].
#[inline]
pub(crate) fn encode_to<T: Serialize + ?Sized>(
    value: &T,
    flavor: impl Flavor<Output = ()>,
) -> Result<Vec<Handle>> {
    match serialize(value, flavor) {
        Ok(0) => Ok(Vec::new()),
        Ok(met) => Ok(take_last(met)),
        Err(e) => Err(not_encoded::<T>(e)),
    }
}

/// Appends a value to `bytes` and the handles in it to `handles`, and says how many these are: where there
/// are many values, of which few have any.
///
/// # Errors
/// Those of [`encode`].
#[inline]
pub(crate) fn encode_more<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
    handles: &mut Vec<Handle>,
) -> Result<usize> {
    match serialize(value, Append(bytes)) {
        Ok(0) => Ok(0),
        Ok(met) => {
            handles.extend(take_last(met));
            Ok(met)
        }
        Err(e) => Err(not_encoded::<T>(e)),
    }
}

/// Serialises a value by a flavor: how many handles are in it, which are the last that were met.
#[inline]
fn serialize<T: Serialize + ?Sized>(
    value: &T,
    flavor: impl Flavor<Output = ()>,
) -> postcard::Result<usize> {
    let outer = SENDING.replace(Sending { active: true, met: 0 });
    let undo = Undo { outer };
    postcard::serialize_with_flavor(value, flavor)?;
    std::mem::forget(undo);
    Ok(SENDING.replace(outer).met)
}

#[cold]
fn not_encoded<T: ?Sized>(e: postcard::Error) -> Error {
    Error::Encode { type_name: std::any::type_name::<T>(), why: e.to_string() }
}

/// Decodes a value that uses up all of `bytes` and may refer to `handles`.
///
/// ```
/// let error = procbox_core::codec::decode::<u8>(&[1, 2], &[]).unwrap_err();
/// assert_eq!(error.to_string(), "cannot decode a u8: 1 bytes too many");
/// ```
///
/// # Errors
/// [`Error::Decode`] if it is not that.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], handles: &[Handle]) -> Result<T> {
    decode_owned(bytes, handles.to_vec())
}

/// Decodes a value that uses up all of `bytes` and has no handles. `None` if it is not that: [`decode`]
/// says why.
#[inline]
pub(crate) fn decode_plain<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if RECEIVING.get() {
        return None;
    }
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// Like [`decode`]; of the handles only those in the value are left.
pub(crate) fn decode_owned<T: DeserializeOwned>(bytes: &[u8], handles: Vec<Handle>) -> Result<T> {
    let failed = |why: String| Error::Decode { type_name: std::any::type_name::<T>(), why };
    let taken = if handles.is_empty() && !RECEIVING.get() {
        postcard::take_from_bytes(bytes)
    } else {
        let _decoding = Decoding::begin(handles);
        postcard::take_from_bytes(bytes)
    };
    let (value, rest) = taken.map_err(|e| failed(e.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(failed(format!("{} bytes too many", rest.len()))) }
}

/// The value that a message begins with, and what is behind it.
///
/// # Errors
/// [`Error::Decode`].
pub(crate) fn first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8])> {
    postcard::take_from_bytes(bytes)
        .map_err(|e| Error::Decode { type_name: std::any::type_name::<T>(), why: e.to_string() })
}

/// Serialises a wrapper as the index of its handle.
pub(crate) fn serialize_handle<S: Serializer>(handle: Handle, s: S) -> Result<S::Ok, S::Error> {
    let Sending { active, met } = SENDING.get();
    if !active {
        return Err(S::Error::custom("a handle travels in procbox's own messages only"));
    }
    SENT.with_borrow_mut(|sent| sent.push(handle));
    SENDING.set(Sending { active, met: met + 1 });
    s.serialize_u32(met as u32)
}

/// The handle that a serialised index stands for.
pub(crate) fn deserialize_handle<'de, D: Deserializer<'de>>(d: D) -> Result<Handle, D::Error> {
    let index = u32::deserialize(d)? as usize;
    RECEIVED
        .with_borrow(|received| received.get(index).cloned())
        .ok_or_else(|| D::Error::custom("the message does not carry this handle"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;
    use proptest::prelude::*;

    /// Some of everything that serde has.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Any {
        Unit,
        Number(i64),
        Text(String),
        List(Vec<Any>),
        Both { first: Option<u8>, second: Bytes },
    }

    fn any_value() -> impl Strategy<Value = Any> {
        let leaf = prop_oneof![
            Just(Any::Unit),
            any::<i64>().prop_map(Any::Number),
            any::<String>().prop_map(Any::Text),
            any::<(Option<u8>, Vec<u8>)>()
                .prop_map(|(first, second)| Any::Both { first, second: Bytes(second) }),
        ];
        leaf.prop_recursive(4, 32, 8, |inner| {
            prop::collection::vec(inner, 0..8).prop_map(Any::List)
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in any_value(), before: Vec<u8>, junk in any::<u8>()) {
            let mut bytes = before.clone();
            let handles = encode(&value, &mut bytes).unwrap();
            prop_assert_eq!((&bytes[..before.len()], handles.len()), (&before[..], 0));
            bytes.drain(..before.len());
            prop_assert_eq!(decode::<Any>(&bytes, &[]), Ok(value));
            bytes.push(junk);
            prop_assert!(decode::<Any>(&bytes, &[]).is_err(), "a byte too many");
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _ = decode::<Any>(&bytes, &[]);
            let _ = decode::<Vec<(u32, String)>>(&bytes, &[]);
        }
    }

    /// Serialises one message inside another, and fails or panics if asked.
    struct Nested<'a>(&'a dyn Fn() -> Result<()>);

    impl Serialize for Nested<'_> {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            (self.0)().map_err(S::Error::custom)?;
            s.serialize_unit()
        }
    }

    /// `true` while an `encode` runs on this thread, as far as a handle would know.
    fn is_sending() -> bool {
        SENDING.get().active || SENT.with_borrow(|sent| !sent.is_empty())
    }

    #[test]
    fn however_an_encode_ends_nothing_of_it_is_left() {
        let inner = || Message::of(&7u8).map(drop);
        assert!(Message::of(&Nested(&inner)).is_ok() && !is_sending());
        let fails = || Err(Error::Closed);
        assert!(Message::of(&Nested(&fails)).is_err() && !is_sending());
        let panics = || panic!("as it should");
        let caught = std::panic::catch_unwind(|| Message::of(&Nested(&panics)));
        assert!(caught.is_err() && !is_sending());
        // One that fails inside another leaves the other as it was.
        let inner_fails = || {
            assert!(Message::of(&Nested(&fails)).is_err() && SENDING.get().active);
            Ok(())
        };
        assert!(Message::of(&Nested(&inner_fails)).is_ok() && !is_sending());
    }
}
