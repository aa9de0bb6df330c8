//! How an operation fails.

/// The reason why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The process has no such handle, or it stands for something of another kind.
    BadHandle,
    /// The operation itself failed.
    Failed(procbox_core::Error),
}

impl From<procbox_core::Error> for Error {
    fn from(error: procbox_core::Error) -> Error {
        Error::Failed(error)
    }
}

/// The result of an operation.
pub(crate) type Result<T> = std::result::Result<T, Error>;
