//! Addresses of listeners.

use crate::{Error, Result};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The address of a listener. A text is a name, a path a Unix socket, a socket address loopback
/// TCP.
///
/// A name is the address that both backends have: natively it is a Unix socket without a file, which
/// every program on the machine can reach; in the sandbox it is known to the processes of the same
/// context. Paths and TCP are native only: there is no network in the sandbox.
///
/// ```
/// use procbox_core::Address;
/// assert_eq!(Address::from("greeter"), Address::Name("greeter".into()));
/// assert_eq!(Address::from(std::path::Path::new("/tmp/s")).to_string(), "/tmp/s");
/// assert_eq!(Address::from(([127, 0, 0, 1], 8000)).to_string(), "127.0.0.1:8000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A name, of 1 to 90 bytes.
    Name(String),
    /// A Unix socket in the file system. The listener makes the file, and removes it at its end.
    Path(PathBuf),
    /// A TCP port of the loopback interface; a listener on port 0 gets a free one.
    Tcp(SocketAddr),
}

/// The bytes that the system allows for a socket's name, less those that a backend puts before it.
const LONGEST_NAME: usize = 90;

impl Address {
    /// The address itself, if there can be such an address.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(crate) fn checked(self) -> Result<Address> {
        let wrong = match &self {
            Address::Name(name) if name.is_empty() || name.len() > LONGEST_NAME => {
                format!("a listener's name has 1 to {LONGEST_NAME} bytes")
            }
            Address::Name(name) if name.contains('\0') => "a listener's name has a 0 in it".into(),
            Address::Tcp(address) if !address.ip().is_loopback() => {
                format!("{address} is not of the loopback interface")
            }
            _ => return Ok(self),
        };
        Err(Error::Invalid(wrong))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Name(name) => f.write_str(name),
            Address::Path(path) => path.display().fmt(f),
            Address::Tcp(address) => address.fmt(f),
        }
    }
}

impl From<&str> for Address {
    fn from(name: &str) -> Address {
        Address::Name(name.into())
    }
}

impl From<String> for Address {
    fn from(name: String) -> Address {
        Address::Name(name)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Address {
        Address::Path(path.into())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address::Path(path)
    }
}

impl<T: Into<std::net::IpAddr>> From<(T, u16)> for Address {
    fn from(address: (T, u16)) -> Address {
        Address::Tcp(address.into())
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}
