//! The end of a process, with one numbering for both backends.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Signal numbers that exit codes are made of (Linux's).
///
/// ```
/// use procbox_core::{ExitStatus, signal};
/// assert_eq!(ExitStatus::signaled(signal::TERM).exitcode(), -15); // what `terminate` leads to
/// ```
pub mod signal {
    /// Ctrl-C.
    pub const INT: i32 = 2;
    /// `abort`, or an `unreachable` in the sandbox.
    pub const ABRT: i32 = 6;
    /// Integer division by zero.
    pub const FPE: i32 = 8;
    /// `kill`.
    pub const KILL: i32 = 9;
    /// Out-of-bounds access or stack overflow.
    pub const SEGV: i32 = 11;
    /// `terminate`.
    pub const TERM: i32 = 15;
    /// Out of CPU time or fuel.
    pub const XCPU: i32 = 24;
}

/// A limit that ended a process.
///
/// ```
/// use procbox_core::{ExitStatus, Limit};
/// assert_eq!(ExitStatus::limited(Limit::WallClock).to_string(), "ran out of wall-clock time");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// Linear memory or address space.
    Memory,
    /// CPU time.
    CpuTime,
    /// Fuel.
    Fuel,
    /// Wall-clock time.
    WallClock,
    /// Bytes printed.
    Output,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Memory => "memory",
            Limit::CpuTime => "CPU time",
            Limit::Fuel => "fuel",
            Limit::WallClock => "wall-clock time",
            Limit::Output => "output",
        })
    }
}

/// The status that a process ended with.
///
/// ```
/// use procbox_core::{ExitStatus, signal};
/// let killed = ExitStatus::signaled(signal::KILL);
/// assert_eq!(killed.exitcode(), -9);
/// assert_eq!(killed.cli_status(), 137);
/// assert_eq!(killed.to_string(), "was killed by signal 9 (SIGKILL)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    code: i32,
    limit: Option<Limit>,
}

impl ExitStatus {
    /// The status of a process that returned.
    pub const SUCCESS: ExitStatus = ExitStatus { code: 0, limit: None };
    /// The status of a process that returned an `Err`.
    pub const FAILURE: ExitStatus = ExitStatus { code: 1, limit: None };
    /// The status of a process that panicked.
    pub const PANICKED: ExitStatus = ExitStatus { code: 101, limit: None };

    /// The status of a process that exited with a code (0 to 255; other numbers are cut as the OS
    /// cuts them).
    ///
    /// ```
    /// use procbox_core::ExitStatus;
    /// assert_eq!(ExitStatus::exited(1), ExitStatus::FAILURE);
    /// assert_eq!(ExitStatus::exited(256), ExitStatus::SUCCESS);
    /// ```
    pub const fn exited(code: i32) -> ExitStatus {
        ExitStatus { code: code & 0xff, limit: None }
    }

    /// The status of a process that was ended by a signal, or by a trap that stands for one.
    ///
    /// ```
    /// use procbox_core::{ExitStatus, signal};
    /// let crashed = ExitStatus::signaled(signal::SEGV);
    /// assert_eq!(crashed.to_string(), "was killed by signal 11 (SIGSEGV)");
    /// ```
    pub const fn signaled(signal: i32) -> ExitStatus {
        ExitStatus { code: -signal, limit: None }
    }

    /// The status of a process that broke a limit.
    ///
    /// ```
    /// use procbox_core::{ExitStatus, Limit, signal};
    /// let late = ExitStatus::limited(Limit::WallClock);
    /// assert_eq!(late.exitcode(), -9);
    /// assert_ne!(late, ExitStatus::signaled(signal::KILL)); // it also says why
    /// ```
    pub const fn limited(limit: Limit) -> ExitStatus {
        let signal = match limit {
            Limit::CpuTime | Limit::Fuel => signal::XCPU,
            Limit::Memory | Limit::WallClock | Limit::Output => signal::KILL,
        };
        ExitStatus { code: -signal, limit: Some(limit) }
    }

    /// Python's number: 0 and above is an exit code, below is the negated signal.
    ///
    /// ```
    /// use procbox_core::{ExitStatus, signal};
    /// assert_eq!(ExitStatus::PANICKED.exitcode(), 101);
    /// assert_eq!(ExitStatus::signaled(signal::INT).exitcode(), -2);
    /// ```
    pub const fn exitcode(self) -> i32 {
        self.code
    }

    /// `true` if the process returned normally.
    ///
    /// ```
    /// use procbox_core::{ExitStatus, signal};
    /// assert!(ExitStatus::exited(0).success());
    /// assert!(!ExitStatus::FAILURE.success() && !ExitStatus::signaled(signal::KILL).success());
    /// ```
    pub const fn success(self) -> bool {
        self.code == 0
    }

    /// The signal that ended it, if one did.
    ///
    /// ```
    /// use procbox_core::{ExitStatus, signal};
    /// assert_eq!(ExitStatus::signaled(signal::ABRT).signal(), Some(signal::ABRT));
    /// assert_eq!(ExitStatus::PANICKED.signal(), None); // a panic is an exit
    /// ```
    pub const fn signal(self) -> Option<i32> {
        if self.code < 0 { Some(-self.code) } else { None }
    }

    /// The limit that it broke, if it did.
    ///
    /// ```
    /// use procbox_core::{ExitStatus, Limit, signal};
    /// assert_eq!(ExitStatus::limited(Limit::Memory).limit(), Some(Limit::Memory));
    /// assert_eq!(ExitStatus::signaled(signal::KILL).limit(), None); // somebody else's doing
    /// ```
    pub const fn limit(self) -> Option<Limit> {
        self.limit
    }

    /// The status that a shell would see: 128 + n for a signal, 124 when out of wall-clock time.
    ///
    /// ```
    /// use procbox_core::{ExitStatus, Limit, signal};
    /// assert_eq!(ExitStatus::exited(3).cli_status(), 3);
    /// assert_eq!(ExitStatus::signaled(signal::TERM).cli_status(), 143);
    /// assert_eq!(ExitStatus::limited(Limit::WallClock).cli_status(), 124);
    /// ```
    pub const fn cli_status(self) -> u8 {
        match self.limit {
            Some(Limit::WallClock) => 124,
            _ if self.code < 0 => (128 - self.code) as u8,
            _ => self.code as u8,
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        signal::INT => "SIGINT",
        signal::ABRT => "SIGABRT",
        signal::FPE => "SIGFPE",
        signal::KILL => "SIGKILL",
        signal::SEGV => "SIGSEGV",
        signal::TERM => "SIGTERM",
        signal::XCPU => "SIGXCPU",
        4 => "SIGILL",
        5 => "SIGTRAP",
        7 => "SIGBUS",
        13 => "SIGPIPE",
        _ => "unnamed",
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.limit, self.code) {
            (Some(limit), _) => write!(f, "ran out of {limit}"),
            (None, 101) => write!(f, "panicked (exit code 101)"),
            (None, code) if code >= 0 => write!(f, "exited with code {code}"),
            (None, code) => write!(f, "was killed by signal {} ({})", -code, signal_name(-code)),
        }
    }
}
