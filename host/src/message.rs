//! The bytes of a message on its way.

use crate::account::{Account, Charge, HANDLE};
use crate::kept::Block;
use procbox_core::Result;
use std::ops::Deref;
use std::sync::Arc;

/// The bytes of a message. Small ones need no allocation.
pub(crate) enum Body {
    Small {
        len: u8,
        bytes: [u8; SMALL],
    },
    /// Of the embedding program's, which is not charged for its own.
    Large(Block),
    /// Of a guest's: its tree pays for it, wherever it goes.
    Charged {
        bytes: Block,
        _charge: Charge,
    },
    /// Of the program's, the same for all who ask.
    Shared(Arc<[u8]>),
}

/// With more handles even a small message has a charge of its own.
const FEW_HANDLES: usize = 16;
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
            return Body::Large(Block::copy_of(message));
        }
        let mut bytes = [0; SMALL];
        bytes[..message.len()].copy_from_slice(message);
        Body::Small { len: message.len() as u8, bytes }
    }
}

impl From<Vec<u8>> for Body {
    fn from(message: Vec<u8>) -> Body {
        if message.len() > SMALL { Body::Large(message.into()) } else { Body::from(&message[..]) }
    }
}

impl Body {
    /// Its bytes, if they can be had without copying them; it is empty then.
    pub(crate) fn take_bytes(&mut self) -> Option<Vec<u8>> {
        match std::mem::take(self) {
            Body::Large(bytes) => Some(bytes.into_bytes()),
            // The embedding program has them from here on, which is charged for nothing.
            Body::Charged { bytes, _charge: _ } => Some(bytes.into_bytes()),
            other => {
                *self = other;
                None
            }
        }
    }

    /// True if a guest's message of so many bytes, which carries so many handles, has a charge of its
    /// own. It is made before the bytes are copied.
    #[inline]
    pub(crate) fn needs_charge(bytes: usize, handles: usize) -> bool {
        bytes > SMALL || handles > FEW_HANDLES
    }

    /// That charge.
    ///
    /// # Errors
    /// [`procbox_core::Error::Exhausted`].
    pub(crate) fn charge(bytes: usize, handles: usize, account: &Arc<Account>) -> Result<Charge> {
        account.charge(handles.saturating_mul(HANDLE).saturating_add(bytes))
    }

    /// A guest's message that has one.
    pub(crate) fn charged(bytes: &[u8], charge: Charge) -> Body {
        Body::Charged { bytes: Block::copy_of(bytes), _charge: charge }
    }

    /// True if its bytes and handles have a charge of their own.
    pub(crate) fn is_charged(&self) -> bool {
        matches!(self, Body::Charged { .. })
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
            Body::Large(bytes) | Body::Charged { bytes, .. } => bytes,
            Body::Shared(bytes) => bytes,
        }
    }
}
