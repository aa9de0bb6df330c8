//! The imports, and safe functions around them. The only `unsafe` of this crate.
//!
//! The normative text is `guest/include/procbox.h`.

use procbox_core::{Bounds, Error, ExitStatus, Limit, Result, Wait};

/// Success.
pub(super) const OK: i32 = 0;
/// Lock: the holder before died. Receive: the message is to be fetched with `message_read`.
pub(super) const NOTED: i32 = 1;
const TIMED_OUT: i32 = -1;
const ADDRESS_IN_USE: i32 = -18;
const REFUSED: i32 = -19;

/// `procbox_start_t`.
#[repr(C)]
pub(super) struct Start {
    pub(super) kind: u32,
    pub(super) worker: *const u8,
    pub(super) worker_len: u32,
    pub(super) name: *const u8,
    pub(super) name_len: u32,
    pub(super) flags: u32,
    pub(super) timeout: i64,
    pub(super) cpu_time: i64,
}

/// The sizes of a message: bytes, then handles.
pub(super) type Sizes = [u32; 2];

mod raw {
    use super::{Sizes, Start};

    #[link(wasm_import_module = "procbox_1")]
    unsafe extern "C" {
        pub(in crate::sandbox) safe fn lock_new() -> i32;
        pub(in crate::sandbox) safe fn lock_try_acquire(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn lock_acquire(handle: i32, timeout: i64) -> i32;
        pub(in crate::sandbox) safe fn lock_release(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn semaphore_new(permits: i32) -> i32;
        pub(in crate::sandbox) safe fn semaphore_try_acquire(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn semaphore_acquire(handle: i32, timeout: i64) -> i32;
        pub(in crate::sandbox) safe fn semaphore_release(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn semaphore_forget(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn semaphore_available(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn event_new() -> i32;
        pub(in crate::sandbox) safe fn event_set(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn event_clear(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn event_is_set(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn event_wait(handle: i32, timeout: i64) -> i32;
        pub(in crate::sandbox) safe fn queue_new(messages: i64, bytes: i64) -> i32;
        pub(in crate::sandbox) safe fn queue_len(handle: i32) -> i32;
        pub(in crate::sandbox) fn queue_bounds(handle: i32, out: *mut [i64; 2]) -> i32;
        pub(in crate::sandbox) safe fn queue_close(handle: i32) -> i32;
        pub(in crate::sandbox) fn pipe_new(duplex: i32, out: *mut [i32; 2]) -> i32;
        pub(in crate::sandbox) safe fn handle_close(handle: i32) -> i32;
        pub(in crate::sandbox) fn message_try_put(
            handle: i32,
            ptr: *const u8,
            len: usize,
            handles: *const i32,
            n: usize,
        ) -> i32;
        pub(in crate::sandbox) fn message_put(
            handle: i32,
            ptr: *const u8,
            len: usize,
            handles: *const i32,
            n: usize,
            timeout: i64,
        ) -> i32;
        pub(in crate::sandbox) fn message_try_get(
            handle: i32,
            ptr: *mut u8,
            cap: usize,
            out: *mut Sizes,
        ) -> i32;
        pub(in crate::sandbox) fn message_get(
            handle: i32,
            ptr: *mut u8,
            cap: usize,
            out: *mut Sizes,
            timeout: i64,
        ) -> i32;
        pub(in crate::sandbox) fn message_read(ptr: *mut u8, handles: *mut [i32; 2]) -> i32;
        pub(in crate::sandbox) fn process_start(
            spec: *const Start,
            ptr: *const u8,
            len: usize,
            handles: *const i32,
            n: usize,
        ) -> i32;
        pub(in crate::sandbox) safe fn process_pid(handle: i32) -> i32;
        pub(in crate::sandbox) fn process_status(handle: i32, out: *mut [i32; 2]) -> i32;
        pub(in crate::sandbox) fn process_join(
            handle: i32,
            out: *mut [i32; 2],
            timeout: i64,
        ) -> i32;
        pub(in crate::sandbox) safe fn process_terminate(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn process_interrupt(handle: i32) -> i32;
        pub(in crate::sandbox) safe fn process_kill(handle: i32) -> i32;
        pub(in crate::sandbox) fn wait_any(
            handles: *const i32,
            n: usize,
            ready: *mut u8,
            timeout: i64,
        ) -> i32;
        pub(in crate::sandbox) fn self_arguments(out: *mut Sizes) -> i32;
        pub(in crate::sandbox) fn self_identity(out: *mut Sizes) -> i32;
        pub(in crate::sandbox) fn self_workers(out: *mut Sizes) -> i32;
        pub(in crate::sandbox) safe fn self_interrupt(what: i32) -> i32;
        pub(in crate::sandbox) fn connection_listen(name: *const u8, len: usize) -> i32;
        pub(in crate::sandbox) fn connection_try_connect(name: *const u8, len: usize) -> i32;
        pub(in crate::sandbox) fn connection_connect(
            name: *const u8,
            len: usize,
            timeout: i64,
        ) -> i32;
        pub(in crate::sandbox) safe fn cpu_count() -> i32;
    }

    unsafe extern "C" {
        /// Made by the linker: calls the program's static constructors.
        pub(in crate::sandbox) fn __wasm_call_ctors();
    }
}

pub(super) use raw::{
    cpu_count, event_clear, event_is_set, event_new, event_set, event_wait, handle_close,
    lock_acquire, lock_new, lock_release, lock_try_acquire, process_interrupt, process_kill,
    process_pid, process_terminate, queue_close, queue_len, queue_new, self_interrupt,
    semaphore_acquire, semaphore_available, semaphore_forget, semaphore_new, semaphore_release,
    semaphore_try_acquire,
};

/// What a negative code means.
fn error(code: i32) -> Error {
    match code {
        TIMED_OUT => Error::TimedOut,
        -2 => Error::Full,
        -3 => Error::Empty,
        -4 => Error::Closed,
        -5 => Error::Interrupted,
        -6 => Error::NotHolder,
        -7 => Error::AlreadyHeld,
        -10 => Error::NotGranted("start processes"),
        -12 => Error::Exhausted("room".into()),
        -13 => Error::TooLarge { size: 0, limit: 0 },
        -14 => Error::ForeignHandle,
        -16 => Error::DaemonStart,
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
        code @ (TIMED_OUT | -2 | -3) if wait.is_never() => Err(error(code)),
        TIMED_OUT | -2 | -3 => check(waiting(wait.to_nanos())),
        code => check(code),
    }
}

/// Runs the program's static constructors, as `_start` would have done.
pub(super) fn run_constructors() {
    // SAFETY: a worker's export is called once, first, in a new instance, and `_start` is not.
    unsafe { raw::__wasm_call_ctors() }
}

pub(super) fn queue_bounds(handle: i32) -> Result<[i64; 2]> {
    let mut out = [0; 2];
    // SAFETY: the host writes two i64 to `out`.
    check(unsafe { raw::queue_bounds(handle, &mut out) }).map(|_| out)
}

pub(super) fn pipe_new(duplex: bool) -> Result<[i32; 2]> {
    let mut out = [0; 2];
    // SAFETY: the host writes two i32 to `out`.
    check(unsafe { raw::pipe_new(i32::from(duplex), &mut out) }).map(|_| out)
}

pub(super) fn message_put(handle: i32, bytes: &[u8], handles: &[i32], wait: Wait) -> Result<()> {
    let (ptr, len, list, n) = (bytes.as_ptr(), bytes.len(), handles.as_ptr(), handles.len());
    try_then_wait(
        wait,
        // SAFETY: the host reads the two slices.
        || unsafe { raw::message_try_put(handle, ptr, len, list, n) },
        // SAFETY: as above.
        |nanos| unsafe { raw::message_put(handle, ptr, len, list, n, nanos) },
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
    bounds.and_then(|[_, bytes]| usize::try_from(bytes).ok()).unwrap_or(Bounds::MAX_BYTES)
}

/// Receives into the vector's capacity. `Some` if the message has to be read, with its sizes.
pub(super) fn message_get(handle: i32, into: &mut Vec<u8>, wait: Wait) -> Result<Option<Sizes>> {
    into.clear();
    let (ptr, cap) = (into.as_mut_ptr(), into.capacity());
    let mut sizes: Sizes = [0; 2];
    let out: *mut Sizes = &mut sizes;
    let code = try_then_wait(
        wait,
        // SAFETY: the host writes at most `cap` bytes to the vector's buffer, and two u32 to `out`.
        || unsafe { raw::message_try_get(handle, ptr, cap, out) },
        // SAFETY: as above.
        |nanos| unsafe { raw::message_get(handle, ptr, cap, out, nanos) },
    )?;
    if code == NOTED {
        return Ok(Some(sizes));
    }
    // SAFETY: the host has written `sizes[0]` bytes, which is at most the capacity.
    unsafe { into.set_len((sizes[0] as usize).min(cap)) };
    Ok(None)
}

/// Fetches the message that the host keeps: its bytes, and per handle its number and kind.
pub(super) fn message_read(sizes: Sizes, into: &mut Vec<u8>) -> Result<Vec<[i32; 2]>> {
    into.clear();
    into.resize(sizes[0] as usize, 0);
    let mut handles = vec![[0; 2]; sizes[1] as usize];
    // SAFETY: both are as large as the host said that the message is.
    check(unsafe { raw::message_read(into.as_mut_ptr(), handles.as_mut_ptr()) })?;
    Ok(handles)
}

pub(super) fn process_start(spec: &Start, bytes: &[u8], handles: &[i32]) -> i32 {
    let (ptr, len, list, n) = (bytes.as_ptr(), bytes.len(), handles.as_ptr(), handles.len());
    // SAFETY: the host reads the spec, the texts that it points to, and the two slices.
    unsafe { raw::process_start(spec, ptr, len, list, n) }
}

fn status(out: [i32; 2]) -> ExitStatus {
    match (out[1], out[0]) {
        (1, _) => ExitStatus::limited(Limit::Memory),
        (2, _) => ExitStatus::limited(Limit::CpuTime),
        (3, _) => ExitStatus::limited(Limit::Fuel),
        (4, _) => ExitStatus::limited(Limit::WallClock),
        (5, _) => ExitStatus::limited(Limit::Output),
        (_, code) if code < 0 => ExitStatus::signaled(-code),
        (_, code) => ExitStatus::exited(code),
    }
}

pub(super) fn process_status(handle: i32) -> Option<ExitStatus> {
    let mut out = [0; 2];
    // SAFETY: the host writes two i32 to `out`.
    (unsafe { raw::process_status(handle, &mut out) } == OK).then(|| status(out))
}

pub(super) fn process_join(handle: i32, wait: Wait) -> Result<ExitStatus> {
    let mut out = [0; 2];
    let to: *mut [i32; 2] = &mut out;
    try_then_wait(
        wait,
        // SAFETY: the host writes two i32 to `out`.
        || unsafe { raw::process_status(handle, to) },
        // SAFETY: as above.
        |nanos| unsafe { raw::process_join(handle, to, nanos) },
    )?;
    Ok(status(out))
}

pub(super) fn wait_any(handles: &[i32], wait: Wait) -> Result<Vec<usize>> {
    let mut ready = vec![0u8; handles.len()];
    let (list, n) = (handles.as_ptr(), handles.len());
    // SAFETY: the host reads `n` handles and writes `n` bytes.
    check(unsafe { raw::wait_any(list, n, ready.as_mut_ptr(), wait.to_nanos()) })?;
    Ok(ready.iter().enumerate().filter(|(_, flag)| **flag != 0).map(|(i, _)| i).collect())
}

/// Something about this process that the host keeps for [`message_read`].
pub(super) enum About {
    Arguments,
    Identity,
    Workers,
}

pub(super) fn about(what: About) -> Result<Sizes> {
    let mut sizes: Sizes = [0; 2];
    // SAFETY: each of them writes two u32 to `sizes`.
    let code = unsafe {
        match what {
            About::Arguments => raw::self_arguments(&mut sizes),
            About::Identity => raw::self_identity(&mut sizes),
            About::Workers => raw::self_workers(&mut sizes),
        }
    };
    check(code).map(|_| sizes)
}

/// The handle of a listener under a name.
pub(super) fn connection_listen(name: &str) -> Result<i32> {
    // SAFETY: the host reads the text.
    match unsafe { raw::connection_listen(name.as_ptr(), name.len()) } {
        ADDRESS_IN_USE => Err(Error::AddressInUse(name.into())),
        code => check(code),
    }
}

/// The handle of the caller's end of a connection to who listens under a name.
pub(super) fn connection_connect(name: &str, wait: Wait) -> Result<i32> {
    let (ptr, len) = (name.as_ptr(), name.len());
    // SAFETY: the host reads the text.
    let attempt = unsafe { raw::connection_try_connect(ptr, len) };
    let code = match attempt {
        TIMED_OUT if !wait.is_never() => {
            // SAFETY: as above.
            unsafe { raw::connection_connect(ptr, len, wait.to_nanos()) }
        }
        code => code,
    };
    if code == REFUSED { Err(Error::ConnectionRefused(name.into())) } else { check(code) }
}
