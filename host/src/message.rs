//! The bytes of a message on its way.

use std::ops::Deref;
use std::sync::Arc;

/// The bytes of a message. Small ones need no allocation.
pub(crate) enum Body {
    Small {
        len: u8,
        bytes: [u8; SMALL],
    },
    Large(Box<[u8]>),
    /// Of the program's, the same for all who ask.
    Shared(Arc<[u8]>),
}

/// The most that fits into a [`Body`] of 80 bytes beside its length and tag.
const SMALL: usize = 78;

impl Default for Body {
    fn default() -> Body {
        Body::from([].as_slice())
    }
}

impl From<&[u8]> for Body {
    fn from(message: &[u8]) -> Body {
        if message.len() > SMALL {
            return Body::Large(message.into());
        }
        let mut bytes = [0; SMALL];
        bytes[..message.len()].copy_from_slice(message);
        Body::Small { len: message.len() as u8, bytes }
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Body {
        Body::Shared(bytes)
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Body::Small { len, bytes } => &bytes[..usize::from(*len)],
            Body::Large(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }
}
