//! The bytes of a message on its way.

use crate::account::{Account, Charge, HANDLE};
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
    Large(Box<[u8]>),
    /// Of a guest's: its tree pays for it, wherever it goes.
    Charged {
        bytes: Box<[u8]>,
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
            return Body::Large(message.into());
        }
        let mut bytes = [0; SMALL];
        bytes[..message.len()].copy_from_slice(message);
        Body::Small { len: message.len() as u8, bytes }
    }
}

impl Body {
    /// A guest's message, which carries so many handles; charged before it is copied.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    #[inline]
    pub(crate) fn of_guest(bytes: &[u8], handles: usize, account: &Arc<Account>) -> Result<Body> {
        if bytes.len() <= SMALL && handles <= FEW_HANDLES {
            return Ok(Body::from(bytes));
        }
        let handles = handles.saturating_mul(HANDLE);
        let charge = account.charge(handles.saturating_add(bytes.len()))?;
        Ok(Body::Charged { bytes: bytes.into(), _charge: charge })
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
