//! Locks, semaphores and events, and the closing of any handle.

use super::{BAD_HANDLE, Code, INVALID, MODULE, NOTED, OK, TIMED_OUT, code, flat, insert};
use crate::event::HostEvent;
use crate::lock::HostLock;
use crate::object::Object;
use crate::process::State;
use crate::semaphore::HostSemaphore;
use crate::waiting::within;
use procbox_core::{Acquired, RawEvent, RawSemaphore, Result, Wait};
use std::sync::Arc;
use wasmtime::{Caller, Linker};

fn lock_of(state: &State, handle: i32) -> Result<&Arc<HostLock>, Code> {
    match state.table.get(handle) {
        Some(Object::Lock(lock)) => Ok(lock),
        _ => Err(BAD_HANDLE),
    }
}

fn semaphore_of(state: &State, handle: i32) -> Result<&Arc<HostSemaphore>, Code> {
    match state.table.get(handle) {
        Some(Object::Semaphore(semaphore)) => Ok(semaphore),
        _ => Err(BAD_HANDLE),
    }
}

fn event_of(state: &State, handle: i32) -> Result<&Arc<HostEvent>, Code> {
    match state.table.get(handle) {
        Some(Object::Event(event)) => Ok(event),
        _ => Err(BAD_HANDLE),
    }
}

fn acquired(result: Result<Acquired>) -> Code {
    match result {
        Ok(Acquired { owner_died: false }) => OK,
        Ok(Acquired { owner_died: true }) => NOTED,
        Err(e) => code(&e),
    }
}

fn plain(result: Result<()>) -> Code {
    result.map_or_else(|e| code(&e), |()| OK)
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_lock(linker)?;
    link_semaphore(linker)?;
    link_event(linker)?;
    linker.func_wrap(MODULE, "handle_close", |mut caller: Caller<'_, State>, handle: i32| {
        close(caller.data_mut(), handle)
    })?;
    Ok(())
}

fn close(state: &mut State, handle: i32) -> Code {
    match state.table.remove(handle) {
        None => BAD_HANDLE,
        Some(object) => {
            if let Object::Lock(lock) = object {
                // It may be held; then it comes back when the process ends.
                state.orphans.push(lock);
            }
            OK
        }
    }
}

fn link_lock(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "lock_new", |mut caller: Caller<'_, State>| {
        let state = caller.data_mut();
        let lock = state.context.new_lock();
        insert(state, Object::Lock(lock))
    })?;
    linker.func_wrap(MODULE, "lock_try_acquire", |caller: Caller<'_, State>, handle: i32| {
        let state = caller.data();
        let me = state.holder();
        flat(lock_of(state, handle).map(|lock| lock.try_acquire(me).map_or(TIMED_OUT, acquired)))
    })?;
    linker.func_wrap_async(
        MODULE,
        "lock_acquire",
        |caller: Caller<'_, State>, (handle, timeout): (i32, i64)| {
            Box::new(async move {
                let me = caller.data().process.clone();
                let holder = caller.data().holder();
                let lock = match lock_of(caller.data(), handle) {
                    Ok(lock) => lock.clone(),
                    Err(code) => return code,
                };
                let result = within(&me, Wait::from_nanos(timeout), lock.acquire_as(holder)).await;
                acquired(result)
            })
        },
    )?;
    linker.func_wrap(MODULE, "lock_release", |caller: Caller<'_, State>, handle: i32| {
        let state = caller.data();
        flat(lock_of(state, handle).map(|lock| plain(lock.release_as(state.holder()))))
    })?;
    Ok(())
}

/// Notes a permit that the process has to give back.
fn took(state: &mut State, semaphore: Arc<HostSemaphore>) {
    match state.permits.iter_mut().find(|(own, _)| Arc::ptr_eq(own, &semaphore)) {
        Some((_, n)) => *n += 1,
        None => state.permits.push((semaphore, 1)),
    }
}

/// Strikes out a permit, if the process had one.
fn gave(state: &mut State, semaphore: &Arc<HostSemaphore>) {
    if let Some(at) = state.permits.iter().position(|(own, _)| Arc::ptr_eq(own, semaphore)) {
        state.permits[at].1 -= 1;
        if state.permits[at].1 == 0 {
            state.permits.swap_remove(at);
        }
    }
}

fn link_semaphore(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "semaphore_new", |mut caller: Caller<'_, State>, permits: i32| {
        let state = caller.data_mut();
        match usize::try_from(permits) {
            Ok(permits) => {
                let semaphore = state.context.new_semaphore(permits);
                insert(state, Object::Semaphore(semaphore))
            }
            Err(_) => INVALID,
        }
    })?;
    linker.func_wrap(
        MODULE,
        "semaphore_try_acquire",
        |mut caller: Caller<'_, State>, handle: i32| {
            let state = caller.data_mut();
            let semaphore = match semaphore_of(state, handle) {
                Ok(semaphore) => semaphore.clone(),
                Err(code) => return code,
            };
            if semaphore.try_take().is_none() {
                return TIMED_OUT;
            }
            took(state, semaphore);
            OK
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "semaphore_acquire",
        |mut caller: Caller<'_, State>, (handle, timeout): (i32, i64)| {
            Box::new(async move {
                let me = caller.data().process.clone();
                let semaphore = match semaphore_of(caller.data(), handle) {
                    Ok(semaphore) => semaphore.clone(),
                    Err(code) => return code,
                };
                let take = semaphore.take();
                let result = within(&me, Wait::from_nanos(timeout), take).await;
                if result.is_ok() {
                    took(caller.data_mut(), semaphore.clone());
                }
                plain(result)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "semaphore_release",
        |mut caller: Caller<'_, State>, handle: i32| {
            let state = caller.data_mut();
            let semaphore = match semaphore_of(state, handle) {
                Ok(semaphore) => semaphore.clone(),
                Err(code) => return code,
            };
            gave(state, &semaphore);
            plain(semaphore.give(1))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "semaphore_forget",
        |mut caller: Caller<'_, State>, handle: i32| {
            let state = caller.data_mut();
            let semaphore = match semaphore_of(state, handle) {
                Ok(semaphore) => semaphore.clone(),
                Err(code) => return code,
            };
            gave(state, &semaphore);
            OK
        },
    )?;
    linker.func_wrap(MODULE, "semaphore_available", |caller: Caller<'_, State>, handle: i32| {
        let most = i32::MAX as usize;
        flat(semaphore_of(caller.data(), handle).map(|s| s.available().min(most) as i32))
    })?;
    Ok(())
}

fn link_event(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "event_new", |mut caller: Caller<'_, State>| {
        let state = caller.data_mut();
        let event = state.context.new_event();
        insert(state, Object::Event(event))
    })?;
    linker.func_wrap(MODULE, "event_set", |caller: Caller<'_, State>, handle: i32| {
        flat(event_of(caller.data(), handle).map(|event| {
            event.set();
            OK
        }))
    })?;
    linker.func_wrap(MODULE, "event_clear", |caller: Caller<'_, State>, handle: i32| {
        flat(event_of(caller.data(), handle).map(|event| {
            event.clear();
            OK
        }))
    })?;
    linker.func_wrap(MODULE, "event_is_set", |caller: Caller<'_, State>, handle: i32| {
        flat(event_of(caller.data(), handle).map(|event| i32::from(event.is_set())))
    })?;
    linker.func_wrap_async(
        MODULE,
        "event_wait",
        |caller: Caller<'_, State>, (handle, timeout): (i32, i64)| {
            Box::new(async move {
                let me = caller.data().process.clone();
                let event = match event_of(caller.data(), handle) {
                    Ok(event) => event.clone(),
                    Err(code) => return code,
                };
                let result = within(&me, Wait::from_nanos(timeout), event.wait_set()).await;
                plain(result)
            })
        },
    )?;
    Ok(())
}
