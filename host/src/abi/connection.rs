//! Listeners and connections, by name. Who comes to a listener is received from it, with
//! `message_get`, as an end of a pipe.

use super::{Code, INVALID, MODULE, Memory, TIMED_OUT, code, flat, insert};
use crate::connection::gone_is_refused;
use crate::object::Object;
use crate::process::State;
use crate::waiting::within;
use procbox_core::Wait;
use std::sync::Arc;
use wasmtime::{Caller, Linker};

/// The longest name, in bytes.
const LONGEST: u32 = 255;

fn name(caller: &mut Caller<'_, State>, ptr: u32, len: u32) -> Result<String, Code> {
    if len == 0 || len > LONGEST {
        return Err(INVALID);
    }
    let (memory, _) = Memory::of(caller);
    memory.text(ptr, len)
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "connection_listen",
        |mut caller: Caller<'_, State>, ptr: u32, len: u32| {
            flat(name(&mut caller, ptr, len).and_then(|name| listen(caller.data_mut(), &name)))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "connection_try_connect",
        |mut caller: Caller<'_, State>, ptr: u32, len: u32| {
            flat(name(&mut caller, ptr, len).and_then(|name| try_connect(caller.data_mut(), &name)))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "connection_connect",
        |mut caller: Caller<'_, State>, (ptr, len, timeout): (u32, u32, i64)| {
            Box::new(async move {
                let name = match name(&mut caller, ptr, len) {
                    Ok(name) => name,
                    Err(code) => return code,
                };
                flat(connect(&mut caller, &name, timeout).await)
            })
        },
    )?;
    Ok(())
}

fn listen(state: &mut State, name: &str) -> Result<Code, Code> {
    let runtime = &state.context.sandbox.runtime;
    let listener = state.context.names.listen(runtime, name).map_err(|e| code(&e))?;
    Ok(insert(state, Object::Listener(Arc::new(listener))))
}

fn try_connect(state: &mut State, name: &str) -> Result<Code, Code> {
    // Before anybody is told of a connection that would have no handle.
    if !state.table.has_room(1) {
        return Err(super::EXHAUSTED);
    }
    let runtime = &state.context.sandbox.runtime;
    let (ours, theirs, backlog) =
        state.context.names.approach(runtime, name).map_err(|e| code(&e))?;
    match backlog.try_put(&mut Some(theirs)) {
        None => Err(TIMED_OUT),
        Some(Err(e)) => Err(code(&gone_is_refused(e, name))),
        Some(Ok(())) => Ok(insert(state, Object::Pipe(ours))),
    }
}

async fn connect(caller: &mut Caller<'_, State>, name: &str, timeout: i64) -> Result<Code, Code> {
    let state = caller.data_mut();
    if !state.table.has_room(1) {
        return Err(super::EXHAUSTED);
    }
    let me = state.process.clone();
    let (ours, theirs, backlog) =
        state.context.names.approach(&me.runtime, name).map_err(|e| code(&e))?;
    let put = within(&me, Wait::from_nanos(timeout), backlog.put_stored(theirs)).await;
    put.map_err(|e| code(&gone_is_refused(e, name)))?;
    Ok(insert(caller.data_mut(), Object::Pipe(ours)))
}
