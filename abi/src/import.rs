//! Imports: every function that a guest may call, once, as a table and as declarations.

use crate::layout::{LedgerPage, QueueBounds, Received, Sizes, Start, Status};

/// A type of a parameter or of a result, as WebAssembly knows it.
///
/// ```
/// use procbox_abi::{IMPORTS, ValueType};
/// assert!(IMPORTS.iter().all(|import| import.result == ValueType::I32));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A number of 32 bits: a handle, a pointer, a length, a code.
    I32,
    /// A number of 64 bits: nanoseconds, and the bounds of a queue.
    I64,
}

/// A parameter of an import.
///
/// ```
/// use procbox_abi::{IMPORTS, ValueType};
/// let timeouts = IMPORTS.iter().flat_map(|i| i.parameters).filter(|p| p.name == "timeout");
/// assert!(timeouts.into_iter().all(|p| p.ty == ValueType::I64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name, the same in C.
    pub name: &'static str,
    /// Type.
    pub ty: ValueType,
}

/// A function that a guest may import from [`MODULE`].
///
/// ```
/// use procbox_abi::IMPORTS;
/// let waiting = IMPORTS.iter().filter(|import| import.waits()).count();
/// assert!(waiting < IMPORTS.len() / 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// Name.
    pub name: &'static str,
    /// Parameters, in order.
    pub parameters: &'static [Parameter],
    /// Type of the result.
    pub result: ValueType,
}

impl Import {
    /// True for a function that may suspend the process: those that take a timeout do.
    ///
    /// ```
    /// let waits = |name| procbox_abi::IMPORTS.iter().any(|i| i.name == name && i.waits());
    /// assert!(waits("message_get") && !waits("message_try_get"));
    /// ```
    pub fn waits(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == "timeout")
    }
}

/// The value type of a declared type on the guest's target, where pointers have 32 bits.
trait Lowered {
    const TYPE: ValueType;
}

impl Lowered for i32 {
    const TYPE: ValueType = ValueType::I32;
}
impl Lowered for usize {
    const TYPE: ValueType = ValueType::I32;
}
impl<T> Lowered for *const T {
    const TYPE: ValueType = ValueType::I32;
}
impl<T> Lowered for *mut T {
    const TYPE: ValueType = ValueType::I32;
}
impl Lowered for i64 {
    const TYPE: ValueType = ValueType::I64;
}

/// Makes the table and the declarations. The module is a literal, as an attribute needs it.
macro_rules! imports {
    ($module:literal; $(
        $(#[$doc:meta])*
        $safety:ident fn $name:ident($($parameter:ident: $ty:ty),*) -> $result:ty;
    )*) => {
        /// The module name of all imports; another version would be another name.
        ///
        /// ```
        /// assert_eq!(procbox_abi::MODULE, "procbox_1");
        /// ```
        pub const MODULE: &str = $module;

        /// Every function of [`MODULE`], in the order of `procbox.h`.
        ///
        /// ```
        /// for import in procbox_abi::IMPORTS {
        ///     println!("{}: {} parameters", import.name, import.parameters.len());
        /// }
        /// ```
        pub const IMPORTS: &[Import] = &[$(
            Import {
                name: stringify!($name),
                parameters: &[$(
                    Parameter { name: stringify!($parameter), ty: <$ty as Lowered>::TYPE },
                )*],
                result: <$result as Lowered>::TYPE,
            },
        )*];

        /// The declarations of [`IMPORTS`], on the guest's target. `procbox.h` says what each does;
        /// what a function reads or writes through a pointer must be memory of the caller.
        #[cfg(target_arch = "wasm32")]
        pub mod imports {
            use crate::layout::{LedgerPage, QueueBounds, Received, Sizes, Start, Status};

            #[link(wasm_import_module = $module)]
            unsafe extern "C" {
                $($(#[$doc])* pub $safety fn $name($($parameter: $ty),*) -> $result;)*
            }
        }
    };
}

imports! {
    "procbox_1";

    /// Closes a handle.
    safe fn handle_close(handle: i32) -> i32;

    /// A new lock.
    safe fn lock_new() -> i32;
    /// Takes a lock if it is free.
    safe fn lock_try_acquire(handle: i32) -> i32;
    /// Takes a lock, waiting.
    safe fn lock_acquire(handle: i32, timeout: i64) -> i32;
    /// Gives a lock back.
    safe fn lock_release(handle: i32) -> i32;

    /// A new semaphore.
    safe fn semaphore_new(permits: i32) -> i32;
    /// Takes a permit if there is one.
    safe fn semaphore_try_acquire(handle: i32) -> i32;
    /// Takes a permit, waiting.
    safe fn semaphore_acquire(handle: i32, timeout: i64) -> i32;
    /// Gives a permit back.
    safe fn semaphore_release(handle: i32) -> i32;
    /// Turns a permit of the process into one that does not come back.
    safe fn semaphore_forget(handle: i32) -> i32;
    /// The permits that are free now.
    safe fn semaphore_available(handle: i32) -> i32;

    /// A new event.
    safe fn event_new() -> i32;
    /// Sets an event.
    safe fn event_set(handle: i32) -> i32;
    /// Clears an event.
    safe fn event_clear(handle: i32) -> i32;
    /// 1 if an event is set, else 0.
    safe fn event_is_set(handle: i32) -> i32;
    /// Waits until an event is set.
    safe fn event_wait(handle: i32, timeout: i64) -> i32;

    /// A new queue.
    safe fn queue_new(messages: i64, bytes: i64) -> i32;
    /// The messages in a queue now.
    safe fn queue_len(handle: i32) -> i32;
    /// Writes a queue's bounds.
    unsafe fn queue_bounds(handle: i32, out: *mut QueueBounds) -> i32;
    /// Closes a queue for all.
    safe fn queue_close(handle: i32) -> i32;
    /// A new pipe: writes the handles of its two ends.
    unsafe fn pipe_new(duplex: i32, out: *mut [i32; 2]) -> i32;

    /// A new ledger.
    safe fn ledger_new() -> i32;
    /// Writes a ledger's page as this process sees it.
    unsafe fn ledger_read(handle: i32, page: *mut LedgerPage) -> i32;
    /// Puts a page in force if nobody else did since it was read: 1 if so, else 0.
    unsafe fn ledger_write(handle: i32, page: *const LedgerPage) -> i32;
    /// Waits until a bell of a ledger has been rung more often than that.
    safe fn ledger_wait(handle: i32, bell: i32, seen: i32, timeout: i64) -> i32;

    /// A new region of shared bytes.
    safe fn region_new(bytes: usize) -> i32;
    /// The bytes of a region.
    safe fn region_len(handle: i32) -> i32;
    /// Copies bytes of a region out.
    unsafe fn region_read(handle: i32, at: usize, bytes: *mut u8, len: usize) -> i32;
    /// Copies bytes into a region.
    unsafe fn region_write(handle: i32, at: usize, bytes: *const u8, len: usize) -> i32;
    /// Does one of [`atomic`](mod@crate::atomic) to a word of a region, and writes what it was.
    unsafe fn region_atomic(
        handle: i32, at: usize, what: i32, operand: i64, expected: i64, out: *mut i64
    ) -> i32;
    /// Waits until a word of a region is another than this.
    safe fn region_wait(handle: i32, at: usize, is: i64, timeout: i64) -> i32;
    /// Has all who wait for words of a region look again.
    safe fn region_notify(handle: i32) -> i32;

    /// A listener by a name.
    unsafe fn connection_listen(name: *const u8, len: usize) -> i32;
    /// A connection to a listener, if its backlog has room.
    unsafe fn connection_try_connect(name: *const u8, len: usize) -> i32;
    /// A connection to a listener, waiting for room.
    unsafe fn connection_connect(name: *const u8, len: usize, timeout: i64) -> i32;

    /// Sends a message if there is room.
    unsafe fn message_try_put(
        handle: i32, bytes: *const u8, len: usize, handles: *const i32, n: usize
    ) -> i32;
    /// Sends a message, waiting.
    unsafe fn message_put(
        handle: i32, bytes: *const u8, len: usize, handles: *const i32, n: usize, timeout: i64
    ) -> i32;
    /// Receives a message if there is one.
    unsafe fn message_try_get(handle: i32, bytes: *mut u8, cap: usize, sizes: *mut Sizes) -> i32;
    /// Receives a message, waiting.
    unsafe fn message_get(
        handle: i32, bytes: *mut u8, cap: usize, sizes: *mut Sizes, timeout: i64
    ) -> i32;
    /// Fetches the message that the host keeps.
    unsafe fn message_read(bytes: *mut u8, handles: *mut Received) -> i32;

    /// Starts a process of this very program.
    unsafe fn process_start(
        start: *const Start, bytes: *const u8, len: usize, handles: *const i32, n: usize
    ) -> i32;
    /// A process's pid.
    safe fn process_pid(handle: i32) -> i32;
    /// Writes how a process ended, if it did.
    unsafe fn process_status(handle: i32, out: *mut Status) -> i32;
    /// Waits until a process has ended and writes how.
    unsafe fn process_join(handle: i32, out: *mut Status, timeout: i64) -> i32;
    /// Ends a process by -15.
    safe fn process_terminate(handle: i32) -> i32;
    /// Ends a process by -9.
    safe fn process_kill(handle: i32) -> i32;
    /// Does to a process what Ctrl-C does.
    safe fn process_interrupt(handle: i32) -> i32;
    /// Waits until at least one of several is ready.
    unsafe fn wait_any(handles: *const i32, n: usize, ready: *mut u8, timeout: i64) -> i32;

    /// Writes the sizes of this process's arguments.
    unsafe fn self_arguments(sizes: *mut Sizes) -> i32;
    /// Keeps who this process is.
    unsafe fn self_identity(sizes: *mut Sizes) -> i32;
    /// Keeps the program's workers.
    unsafe fn self_workers(sizes: *mut Sizes) -> i32;
    /// Ctrl-C, by one of the requests of [`interrupt`](mod@crate::interrupt).
    safe fn self_interrupt(what: i32) -> i32;
    /// The number of processes that the sandbox runs at once.
    safe fn cpu_count() -> i32;
    /// Says that an image of this process can be made: there it does not return.
    safe fn snapshot() -> i32;
}
