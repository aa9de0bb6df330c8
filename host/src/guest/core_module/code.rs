//! Codes: what a call comes to, as the ABI says it.

use crate::ops;
use procbox_abi::code;
use procbox_core::raw::Acquired;
use procbox_core::{Error, Wait};
use std::future::Future;

/// The answer of a call; 0 and above is success.
pub(super) type Code = i32;

/// The answer of a function that may suspend the guest, in time.
pub(super) type Waiting<'a> = Box<dyn Future<Output = Code> + Send + 'a>;

/// The code of a call that failed.
pub(super) struct Refusal(Code);

impl Refusal {
    /// A pointer or length that is not inside the memory.
    pub(super) const BAD_POINTER: Refusal = Refusal(code::BAD_POINTER);
    /// A number that is out of range, or a text that is not UTF-8.
    pub(super) const INVALID: Refusal = Refusal(code::INVALID);
}

impl From<ops::Error> for Refusal {
    fn from(error: ops::Error) -> Refusal {
        Refusal(match error {
            ops::Error::BadHandle => code::BAD_HANDLE,
            ops::Error::Failed(error) => of_error(&error),
        })
    }
}

fn of_error(error: &Error) -> Code {
    match error {
        Error::TimedOut => code::TIMED_OUT,
        Error::Full => code::FULL,
        Error::Empty => code::EMPTY,
        Error::Closed => code::CLOSED,
        Error::Interrupted => code::INTERRUPTED,
        Error::Deadlock => code::DEADLOCK,
        Error::NotHolder => code::NOT_HOLDER,
        Error::AlreadyHeld => code::ALREADY_HELD,
        Error::NotGranted(_) => code::NOT_GRANTED,
        Error::NoSuchWorker { .. } => code::NO_SUCH_WORKER,
        Error::AmbiguousWorker { .. } => code::AMBIGUOUS_WORKER,
        Error::Exhausted(_) => code::EXHAUSTED,
        Error::TooLarge { .. } => code::TOO_LARGE,
        Error::ForeignHandle => code::FOREIGN,
        Error::DaemonStart => code::DAEMON_START,
        Error::NotRunnable { .. } => code::NOT_RUNNABLE,
        Error::AddressInUse(_) => code::ADDRESS_IN_USE,
        Error::ConnectionRefused(_) => code::REFUSED,
        _ => code::INVALID,
    }
}

/// A result that has a code.
pub(super) trait Answer {
    fn code(self) -> Code;
}

impl Answer for () {
    fn code(self) -> Code {
        code::OK
    }
}

/// A handle, or a code.
impl Answer for i32 {
    fn code(self) -> Code {
        self
    }
}

/// A pid.
impl Answer for u32 {
    fn code(self) -> Code {
        self as Code
    }
}

/// A count; one that is too large for a code is the largest.
impl Answer for usize {
    fn code(self) -> Code {
        Code::try_from(self).unwrap_or(Code::MAX)
    }
}

impl Answer for bool {
    fn code(self) -> Code {
        Code::from(self)
    }
}

impl Answer for Acquired {
    fn code(self) -> Code {
        if self.owner_died { code::NOTED } else { code::OK }
    }
}

/// The code of a result.
pub(super) fn answer<T: Answer, E: Into<Refusal>>(result: Result<T, E>) -> Code {
    match result {
        Ok(answer) => answer.code(),
        Err(refusal) => refuse(refusal),
    }
}

/// The code of a refusal.
pub(super) fn refuse(refusal: impl Into<Refusal>) -> Code {
    refusal.into().0
}

/// The wait that a guest's timeout in nanoseconds means; negative is for ever.
pub(super) fn wait(timeout: i64) -> Wait {
    Wait::from_nanos(timeout)
}
