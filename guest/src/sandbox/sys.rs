//! Safe functions around the imports. The only `unsafe` of this crate.
//!
//! The imports are declared in `procbox_abi`; the normative text is `guest/include/procbox.h`.

use procbox_abi::imports;
use procbox_abi::{LedgerPage, QueueBounds, Received, Sizes, Start, Status, code, limit};
use procbox_core::{Bounds, Error, ExitStatus, Limit, Result, Wait};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) use procbox_abi::imports::{
    cpu_count, event_clear, event_is_set, event_new, event_set, event_wait, handle_close,
    ledger_new, ledger_wait, lock_acquire, lock_new, lock_release, lock_try_acquire,
    process_interrupt, process_kill, process_pid, process_terminate, queue_close, queue_len,
    queue_new, region_len, region_new, region_notify, region_wait, self_interrupt,
    semaphore_acquire, semaphore_available, semaphore_forget, semaphore_new, semaphore_release,
    semaphore_try_acquire, snapshot,
};

unsafe extern "C" {
    /// Made by the linker: calls the program's static constructors.
    fn __wasm_call_ctors();
    /// Where the statics begin, and where they end: addresses,
    /// of which there is nothing to read.
    static __global_base: u8;
    static __data_end: u8;
}

/// True once the static constructors have run, of which this is one.
static CONSTRUCTED: AtomicBool = AtomicBool::new(false);

#[used]
// SAFETY: the section is of pointers to such functions, which `__wasm_call_ctors` calls.
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn constructed() {
        CONSTRUCTED.store(true, Ordering::Relaxed);
    }
    constructed
};

/// What the host calls before it makes an image of a process, and first in each process of one.
// SAFETY: no other function of a program has this name: it is the ABI's.
#[unsafe(export_name = "procbox_reseed")]
extern "C" fn reseed() {
    super::image::reseed();
}

/// What the host calls as the `main` of a process of an image.
// SAFETY: as above.
#[unsafe(export_name = "procbox_resume")]
extern "C" fn resume() {
    super::image::resume();
}

/// The statics, std's among them.
pub(super) fn statics() -> &'static [AtomicU64] {
    let (from, end) = (&raw const __global_base, &raw const __data_end);
    let from = from.addr().next_multiple_of(align_of::<AtomicU64>());
    let count = end.addr().saturating_sub(from) / size_of::<AtomicU64>();
    let from: *const AtomicU64 = std::ptr::with_exposed_provenance(from);
    // SAFETY: that is memory from the beginning to the end of the process, which has one thread; all
    // that is read or written here is whole words.
    unsafe { std::slice::from_raw_parts(from, count) }
}

/// The error that a negative code stands for.
fn error(code: i32) -> Error {
    match code {
        code::TIMED_OUT => Error::TimedOut,
        code::FULL => Error::Full,
        code::EMPTY => Error::Empty,
        code::CLOSED => Error::Closed,
        code::INTERRUPTED => Error::Interrupted,
        code::DEADLOCK => Error::Deadlock,
        code::NOT_HOLDER => Error::NotHolder,
        code::ALREADY_HELD => Error::AlreadyHeld,
        code::NOT_GRANTED => Error::NotGranted("start processes"),
        code::EXHAUSTED => Error::Exhausted("room".into()),
        code::TOO_LARGE => Error::TooLarge { size: 0, limit: 0 },
        code::FOREIGN => Error::ForeignHandle,
        code::DAEMON_START => Error::DaemonStart,
        other => Error::Invalid(format!("the host refused the call (code {other})")),
    }
}

/// A code, or the error that it stands for.
pub(super) fn check(code: i32) -> Result<i32> {
    if code >= 0 { Ok(code) } else { Err(error(code)) }
}

/// Calls the try-form, and the waiting form only if that found nothing and the caller would wait.
pub(super) fn try_then_wait(
    wait: Wait,
    attempt: impl FnOnce() -> i32,
    waiting: impl FnOnce(i64) -> i32,
) -> Result<i32> {
    match attempt() {
        code @ (code::TIMED_OUT | code::FULL | code::EMPTY) if wait.is_never() => Err(error(code)),
        code::TIMED_OUT | code::FULL | code::EMPTY => check(waiting(wait.to_nanos())),
        code => check(code),
    }
}

/// Runs the program's static constructors, as `_start` would have done, unless they have run: in the
/// process whose image this one began with.
pub(super) fn run_constructors() {
    std::hint::black_box(&CONSTRUCTOR);
    if !CONSTRUCTED.load(Ordering::Relaxed) {
        // SAFETY: they run once, before all else.
        unsafe { __wasm_call_ctors() }
    }
}

pub(super) fn ledger_read(handle: i32) -> Result<LedgerPage> {
    let mut out = LedgerPage::default();
    // SAFETY: the host writes the page to `out`.
    check(unsafe { imports::ledger_read(handle, &mut out) }).map(|_| out)
}

/// Whether the page is in force now: `false` if another was put in force since it was read.
pub(super) fn ledger_write(handle: i32, page: &LedgerPage) -> Result<bool> {
    // SAFETY: the host reads the page.
    check(unsafe { imports::ledger_write(handle, page) }).map(|code| code == 1)
}

pub(super) fn region_read(handle: i32, at: usize, into: &mut [u8]) -> Result<()> {
    // SAFETY: the host writes `into`, to its end.
    check(unsafe { imports::region_read(handle, at, into.as_mut_ptr(), into.len()) }).map(|_| ())
}

pub(super) fn region_write(handle: i32, at: usize, bytes: &[u8]) -> Result<()> {
    // SAFETY: the host reads the slice.
    check(unsafe { imports::region_write(handle, at, bytes.as_ptr(), bytes.len()) }).map(|_| ())
}

/// One of [`procbox_abi::atomic`] on a word; what it was before.
pub(super) fn region_atomic(
    handle: i32,
    at: usize,
    what: i32,
    operand: u64,
    expected: u64,
) -> Result<u64> {
    let mut out = 0;
    let (operand, expected) = (operand as i64, expected as i64);
    // SAFETY: the host writes an i64 to `out`.
    let code = unsafe { imports::region_atomic(handle, at, what, operand, expected, &mut out) };
    check(code).map(|_| out as u64)
}

pub(super) fn queue_bounds(handle: i32) -> Result<QueueBounds> {
    let mut out = QueueBounds::default();
    // SAFETY: the host writes the bounds to `out`.
    check(unsafe { imports::queue_bounds(handle, &mut out) }).map(|_| out)
}

pub(super) fn pipe_new(duplex: bool) -> Result<[i32; 2]> {
    let mut out = [0; 2];
    // SAFETY: the host writes two i32 to `out`.
    check(unsafe { imports::pipe_new(i32::from(duplex), &mut out) }).map(|_| out)
}

pub(super) fn message_put(handle: i32, bytes: &[u8], handles: &[i32], wait: Wait) -> Result<()> {
    let (ptr, len, list, n) = (bytes.as_ptr(), bytes.len(), handles.as_ptr(), handles.len());
    try_then_wait(
        wait,
        // SAFETY: the host reads the two slices.
        || unsafe { imports::message_try_put(handle, ptr, len, list, n) },
        // SAFETY: as above.
        |nanos| unsafe { imports::message_put(handle, ptr, len, list, n, nanos) },
    )
    .map(|_| ())
    .map_err(|e| match e {
        Error::TooLarge { .. } => Error::TooLarge { size: len, limit: bytes_limit(handle) },
        e => e,
    })
}

/// The most bytes that a queue's message may have; a pipe has no bound of its own.
fn bytes_limit(handle: i32) -> usize {
    let bounds = queue_bounds(handle).ok();
    bounds.and_then(|bounds| usize::try_from(bounds.bytes).ok()).unwrap_or(Bounds::MAX_BYTES)
}

/// Receives into the vector's capacity. `Some` if the message has to be read, with its sizes.
pub(super) fn message_get(handle: i32, into: &mut Vec<u8>, wait: Wait) -> Result<Option<Sizes>> {
    into.clear();
    let (ptr, cap) = (into.as_mut_ptr(), into.capacity());
    let mut sizes = Sizes::default();
    let out: *mut Sizes = &mut sizes;
    let code = try_then_wait(
        wait,
        // SAFETY: the host writes at most `cap` bytes to the vector's buffer, and the sizes to `out`.
        || unsafe { imports::message_try_get(handle, ptr, cap, out) },
        // SAFETY: as above.
        |nanos| unsafe { imports::message_get(handle, ptr, cap, out, nanos) },
    )?;
    if code == code::NOTED {
        return Ok(Some(sizes));
    }
    // SAFETY: the host has written `sizes.bytes` bytes, which is at most the capacity.
    unsafe { into.set_len((sizes.bytes as usize).min(cap)) };
    Ok(None)
}

/// Fetches the message that the host keeps: its bytes, and per handle its number and kind.
pub(super) fn message_read(sizes: Sizes, into: &mut Vec<u8>) -> Result<Vec<Received>> {
    let bytes = sizes.bytes as usize;
    into.clear();
    into.reserve(bytes);
    let mut handles = vec![Received::default(); sizes.handles as usize];
    // SAFETY: both have room for what the host said that the message has.
    check(unsafe { imports::message_read(into.as_mut_ptr(), handles.as_mut_ptr()) })?;
    // SAFETY: the host has written so many bytes, for which there is room.
    unsafe { into.set_len(bytes) };
    Ok(handles)
}

pub(super) fn process_start(spec: &Start, bytes: &[u8], handles: &[i32]) -> i32 {
    let (ptr, len, list, n) = (bytes.as_ptr(), bytes.len(), handles.as_ptr(), handles.len());
    // SAFETY: the host reads the spec, the texts that it points to, and the two slices.
    unsafe { imports::process_start(spec, ptr, len, list, n) }
}

fn status(of: Status) -> ExitStatus {
    match (of.limit, of.exitcode) {
        (limit::MEMORY, _) => ExitStatus::limited(Limit::Memory),
        (limit::CPU_TIME, _) => ExitStatus::limited(Limit::CpuTime),
        (limit::FUEL, _) => ExitStatus::limited(Limit::Fuel),
        (limit::WALL_CLOCK, _) => ExitStatus::limited(Limit::WallClock),
        (limit::OTHER, _) => ExitStatus::limited(Limit::Output),
        (_, code) if code < 0 => ExitStatus::signaled(-code),
        (_, code) => ExitStatus::exited(code),
    }
}

pub(super) fn process_status(handle: i32) -> Option<ExitStatus> {
    let mut out = Status::default();
    // SAFETY: the host writes the status to `out`.
    (unsafe { imports::process_status(handle, &mut out) } == code::OK).then(|| status(out))
}

pub(super) fn process_join(handle: i32, wait: Wait) -> Result<ExitStatus> {
    let mut out = Status::default();
    let to: *mut Status = &mut out;
    try_then_wait(
        wait,
        // SAFETY: the host writes the status to `out`.
        || unsafe { imports::process_status(handle, to) },
        // SAFETY: as above.
        |nanos| unsafe { imports::process_join(handle, to, nanos) },
    )?;
    Ok(status(out))
}

pub(super) fn wait_any(handles: &[i32], wait: Wait) -> Result<Vec<usize>> {
    let mut ready = vec![0u8; handles.len()];
    let (list, n) = (handles.as_ptr(), handles.len());
    // SAFETY: the host reads `n` handles and writes `n` bytes.
    check(unsafe { imports::wait_any(list, n, ready.as_mut_ptr(), wait.to_nanos()) })?;
    Ok(ready.iter().enumerate().filter(|(_, flag)| **flag != 0).map(|(i, _)| i).collect())
}

/// Something about this process that the host keeps for [`message_read`].
pub(super) enum About {
    Arguments,
    Identity,
    Workers,
}

pub(super) fn about(what: About) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    // SAFETY: each of them writes the sizes to `sizes`.
    let code = unsafe {
        match what {
            About::Arguments => imports::self_arguments(&mut sizes),
            About::Identity => imports::self_identity(&mut sizes),
            About::Workers => imports::self_workers(&mut sizes),
        }
    };
    check(code).map(|_| sizes)
}

/// The handle of a listener under a name.
pub(super) fn connection_listen(name: &str) -> Result<i32> {
    // SAFETY: the host reads the text.
    match unsafe { imports::connection_listen(name.as_ptr(), name.len()) } {
        code::ADDRESS_IN_USE => Err(Error::AddressInUse(name.into())),
        code => check(code),
    }
}

/// The handle of the caller's end of a connection to who listens under a name.
pub(super) fn connection_connect(name: &str, wait: Wait) -> Result<i32> {
    let (ptr, len) = (name.as_ptr(), name.len());
    // SAFETY: the host reads the text.
    let attempt = unsafe { imports::connection_try_connect(ptr, len) };
    let code = match attempt {
        code::TIMED_OUT if !wait.is_never() => {
            // SAFETY: as above.
            unsafe { imports::connection_connect(ptr, len, wait.to_nanos()) }
        }
        code => code,
    };
    if code == code::REFUSED { Err(Error::ConnectionRefused(name.into())) } else { check(code) }
}
