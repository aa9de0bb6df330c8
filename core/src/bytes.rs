//! A string of bytes that is encoded as one.

use crate::copy;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A byte string: the same bytes on the wire as a `Vec<u8>`, copied at once instead of one by one.
///
/// ```
/// use procbox_core::raw::Message;
/// use procbox_core::Bytes;
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

impl From<&str> for Bytes {
    fn from(text: &str) -> Bytes {
        Bytes(text.into())
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Bytes {
        Bytes(text.into_bytes())
    }
}

impl From<&String> for Bytes {
    fn from(text: &String) -> Bytes {
        text.as_str().into()
    }
}

impl From<std::borrow::Cow<'_, str>> for Bytes {
    fn from(text: std::borrow::Cow<'_, str>) -> Bytes {
        text.into_owned().into()
    }
}

#[cfg(unix)]
impl From<std::ffi::OsString> for Bytes {
    fn from(text: std::ffi::OsString) -> Bytes {
        Bytes(std::os::unix::ffi::OsStringExt::into_vec(text))
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
                Ok(Bytes(copy::to_vec(v)))
            }
            fn visit_byte_buf<E>(self, v: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(v))
            }
        }
        d.deserialize_byte_buf(BytesVisitor)
    }
}
