//! Numbers: what calls come to, kinds, modes, flags and bounds.

/// A number of the ABI, with the name that it has in C.
///
/// ```
/// let number = procbox_abi::NUMBERS.iter().copied().flatten().find(|n| n.value == -18);
/// assert_eq!(number.map(|n| n.name), Some("PROCBOX_ADDRESS_IN_USE"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The name of the constant in `procbox.h`.
    pub name: &'static str,
    /// The number.
    pub value: i64,
}

/// Makes of each group a module of constants, with a list of them.
macro_rules! numbers {
    ($(
        $(#[$about:meta])*
        $group:ident: $ty:ty, $prefix:literal {
            $($(#[$doc:meta])* $name:ident = $value:expr,)*
        }
    )*) => {
        $(
            $(#[$about])*
            pub mod $group {
                use super::Number;

                $($(#[$doc])* pub const $name: $ty = $value;)*

                /// All of them, by their names in C.
                pub const ALL: &[Number] = &[$(
                    Number { name: concat!($prefix, stringify!($name)), value: $name as i64 },
                )*];
            }
        )*

        /// Every number that `procbox.h` has, group by group.
        ///
        /// ```
        /// for number in procbox_abi::NUMBERS.iter().copied().flatten() {
        ///     println!("{} is {}", number.name, number.value);
        /// }
        /// ```
        pub const NUMBERS: &[&[Number]] = &[$($group::ALL),*];
    };
}

numbers! {
    /// Codes: what a call comes to. 0 and above is success, below 0 is not.
    ///
    /// ```
    /// use procbox_abi::code;
    /// let came_to = |code| match code {
    ///     code::OK => "done",
    ///     code::TIMED_OUT | code::FULL | code::EMPTY => "nothing there in time",
    ///     ..0 => "an error",
    ///     _ => "a handle, or a number",
    /// };
    /// assert_eq!(came_to(code::CLOSED), "an error");
    /// ```
    code: i32, "PROCBOX_" {
        /// Success.
        OK = 0,
        /// Of a lock: acquired from a holder that died. Of a receive: the message is to be fetched
        /// with `message_read`.
        NOTED = 1,
        /// The wait ran out (not of a queue), or a try found nothing.
        TIMED_OUT = -1,
        /// The same, for a put into a queue.
        FULL = -2,
        /// The same, for a get from a queue.
        EMPTY = -3,
        /// The queue is closed, or the pipe's other end is gone.
        CLOSED = -4,
        /// Ctrl-C ended the wait of a process that answers it.
        INTERRUPTED = -5,
        /// Released by one that does not hold it.
        NOT_HOLDER = -6,
        /// Acquired again by its holder.
        ALREADY_HELD = -7,
        /// No such handle, or one of another kind.
        BAD_HANDLE = -8,
        /// Not inside the memory.
        BAD_POINTER = -9,
        /// The right to do this was not granted.
        NOT_GRANTED = -10,
        /// The program has no export of that name.
        NO_SUCH_WORKER = -11,
        /// A limit: handles, processes, or memory of the tree.
        EXHAUSTED = -12,
        /// The message is larger than its queue will ever hold.
        TOO_LARGE = -13,
        /// Reserved: a handle of another sandbox.
        FOREIGN = -14,
        /// A number out of range, or a text that is not UTF-8.
        INVALID = -15,
        /// A daemon may not start processes.
        DAEMON_START = -16,
        /// The program has no `_start`.
        NOT_RUNNABLE = -17,
        /// Somebody listens under this name already.
        ADDRESS_IN_USE = -18,
        /// Nobody listens under this name.
        REFUSED = -19,
        /// The program has several workers of that name.
        AMBIGUOUS_WORKER = -20,
        /// The wait was one of a circle: those who could end it wait in turn.
        DEADLOCK = -21,
    }

    /// Kinds: of what a received handle is.
    ///
    /// ```
    /// use procbox_abi::{Received, kind};
    /// let received = Received { handle: 7, kind: kind::QUEUE };
    /// assert_ne!(received.kind, kind::PIPE);
    /// ```
    kind: u32, "PROCBOX_KIND_" {
        /// A lock.
        LOCK = 1,
        /// A semaphore.
        SEMAPHORE = 2,
        /// An event.
        EVENT = 3,
        /// A queue.
        QUEUE = 4,
        /// An end of a pipe.
        PIPE = 5,
        /// A ledger.
        LEDGER = 6,
        /// A region of shared bytes.
        REGION = 7,
    }

    /// Atomic steps: what `region_atomic` does to a word.
    ///
    /// ```
    /// use procbox_abi::atomic;
    /// assert_ne!(atomic::ADD, atomic::STORE);
    /// ```
    atomic: i32, "PROCBOX_ATOMIC_" {
        /// Nothing.
        LOAD = 0,
        /// It is the operand from now on.
        STORE = 1,
        /// The operand is added to it, around the end.
        ADD = 2,
        /// It is the operand from now on, if it was what was expected.
        COMPARE_EXCHANGE = 3,
    }

    /// Modes: what a worker's export is called for.
    ///
    /// ```
    /// extern "C" fn procbox_worker_idle(mode: i32) -> i32 {
    ///     i32::from(mode == procbox_abi::mode::SERVE) // it serves no pools
    /// }
    /// assert_eq!(procbox_worker_idle(procbox_abi::mode::CALL), 0);
    /// ```
    mode: i32, "PROCBOX_MODE_" {
        /// Once, with the arguments of `process_start`.
        CALL = 0,
        /// To serve a pool; the arguments are its terms.
        SERVE = 1,
    }

    /// Start kinds: what a new process executes.
    ///
    /// ```
    /// assert_ne!(procbox_abi::start::CALL, procbox_abi::start::MAIN);
    /// ```
    start: u32, "PROCBOX_START_" {
        /// `_start`; the worker's name is its arguments, each ended by a 0 byte.
        MAIN = 0,
        /// A worker, in mode [`CALL`](crate::mode::CALL).
        CALL = 1,
        /// A worker, in mode [`SERVE`](crate::mode::SERVE).
        SERVE = 2,
    }

    /// Flags of a [`Start`](crate::Start); a host ignores other bits.
    ///
    /// ```
    /// use procbox_abi::flag;
    /// assert_eq!(flag::DAEMON & flag::CPU_TIME, 0);
    /// ```
    flag: u32, "PROCBOX_FLAG_" {
        /// The process ends when the one that started it ends.
        DAEMON = 1,
        /// The structure has a `cpu_time`: without this flag the host does not look at it.
        CPU_TIME = 2,
    }

    /// Limits: which one ended a process, in [`Status::limit`](crate::Status::limit).
    ///
    /// ```
    /// use procbox_abi::{Status, limit};
    /// let status = Status { exitcode: -24, limit: limit::CPU_TIME };
    /// assert_ne!(status.limit, limit::NONE);
    /// ```
    limit: u32, "PROCBOX_LIMIT_" {
        /// None: it ended by itself, or was ended.
        NONE = 0,
        /// Reserved: its memory.
        MEMORY = 1,
        /// The `cpu_time` of its [`Start`](crate::Start).
        CPU_TIME = 2,
        /// The fuel that the sandbox gives each process.
        FUEL = 3,
        /// The `timeout` of its [`Start`](crate::Start).
        WALL_CLOCK = 4,
        /// Reserved: another one.
        OTHER = 5,
    }

    /// Requests of `self_interrupt`.
    ///
    /// ```
    /// assert_eq!(i32::from(true), procbox_abi::interrupt::ANSWER);
    /// ```
    interrupt: i32, "PROCBOX_INTERRUPT_" {
        /// This process does not answer Ctrl-C (the default): it is ended by it.
        IGNORE = 0,
        /// This process answers: its waiting calls end with `INTERRUPTED`, until it clears that.
        ANSWER = 1,
        /// Clears it.
        CLEAR = 2,
        /// Asks for it: the answer is 1 if there is one, else 0.
        QUERY = 3,
    }

    /// Bounds: the most of something.
    ///
    /// ```
    /// let fits = |name: &str| name.len() <= procbox_abi::max::ADDRESS as usize;
    /// assert!(fits("the daily batch"));
    /// ```
    max: u32, "PROCBOX_MAX_" {
        /// Handles that one process may have.
        HANDLES = 1 << 20,
        /// Handles that `wait_any` takes.
        WAITED = 1 << 16,
        /// Bytes of the name that a listener has.
        ADDRESS = 255,
        /// Bytes that a queue holds.
        QUEUE_BYTES = 256 << 20,
    }
}

/// The exit code of a process whose worker returned this: the low 8 bits count.
///
/// ```
/// assert_eq!(procbox_abi::exit_code(3), 3);
/// assert_eq!(procbox_abi::exit_code(-1), 255);
/// ```
pub const fn exit_code(returned: i32) -> i32 {
    returned & 0xff
}
