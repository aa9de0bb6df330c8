//! The worker's side of a pool for a component, which does not speak the pool's protocol: the host takes
//! the chunks, calls the worker for each task, and sends what they come to.
//!
//! It is done as the process, in its store, by its handles: what it takes and makes is charged to it, and
//! a wait of it is a wait of the process.

use super::{Run, failure};
use crate::guest::component::hand_out;
use crate::object::{Object, Stored};
use crate::ops;
use crate::state::State;
use procbox_core::runner::{Chunk, Ends, byte_string, chunks_of};
use procbox_core::{Error, Wait};
use std::vec::IntoIter;
use wasmtime::Store;

/// Serves the pool whose queues are in the process's arguments, until that says to stop: the reason if it
/// could not.
///
/// # Errors
/// A trap or an exit.
pub(super) async fn serve(
    store: &mut Store<State>,
    run: &Run,
    worker: &str,
) -> wasmtime::Result<Result<(), String>> {
    let (most, [tasks, results]) = match begin(store.data_mut()) {
        Ok(terms) => terms,
        Err(why) => return Ok(Err(why)),
    };
    for _ in 0..most {
        let mut task = loop {
            let mut task = match ops::message::get(store.data_mut(), tasks, Wait::Forever).await {
                Ok(task) => task,
                Err(ops::Error::Failed(Error::Closed)) => return Ok(Ok(())),
                Err(e) => return Ok(Err(failure(e))),
            };
            match initialize(store, run, &mut task).await? {
                Ok(true) => {}
                Ok(false) => break task,
                Err(why) => return Ok(Err(why)),
            }
        };
        let ends = match perform(store, run, worker, &mut task).await? {
            Ok(ends) => ends,
            Err(e) => return Ok(Err(e.to_string())),
        };
        drop(task);
        match send(store.data_mut(), results, ends).await {
            Ok(()) => {}
            Err(ops::Error::Failed(Error::Closed)) => return Ok(Ok(())),
            Err(e) => return Ok(Err(failure(e))),
        }
    }
    Ok(Ok(()))
}

/// The terms that a process is started with: how many chunks it takes, and the handles of the queues of
/// tasks and of results.
fn begin(state: &mut State) -> Result<(u64, [i32; 2]), String> {
    let most = chunks_of(&state.kept.body).map_err(|e| e.to_string())?;
    let handles = ops::message::open_kept(state).map_err(failure)?;
    let queues =
        handles.try_into().map_err(|_| "its pool has other queues than two".to_string())?;
    Ok((most, queues))
}

/// Calls a function once, if this is the call of an initializer: whether it is.
async fn initialize(
    store: &mut Store<State>,
    run: &Run,
    task: &mut Stored,
) -> wasmtime::Result<Result<bool, String>> {
    let mut objects = task.take_objects().into_iter();
    let parts = (|| {
        let mut chunk = Chunk::of(&task.body)?;
        if !chunk.is_initializer() {
            return Ok(None);
        }
        let (name, _) = chunk.part()?;
        let (arguments, own) = chunk.part()?;
        Ok(Some((String::from_utf8_lossy(name).into_owned(), arguments, own)))
    })();
    let (name, arguments, own) = match parts {
        Ok(Some(parts)) => parts,
        Ok(None) => {
            task.objects = objects.collect();
            return Ok(Ok(false));
        }
        Err(e) => return Ok(Err(Error::to_string(&e))),
    };
    let ended = task_of(store, run, &name, arguments, own, &mut objects).await?;
    Ok(match ended {
        Ok(_) => Ok(true),
        Err(why) => Err(format!("the initializer `{name}` failed: {why}")),
    })
}

/// Does the tasks of a chunk, one after another: how they ended.
async fn perform(
    store: &mut Store<State>,
    run: &Run,
    worker: &str,
    task: &mut Stored,
) -> wasmtime::Result<procbox_core::Result<Ends>> {
    let mut objects = task.take_objects().into_iter();
    let mut chunk = match Chunk::of(&task.body) {
        Ok(chunk) => chunk,
        Err(e) => return Ok(Err(e)),
    };
    // The program finds out itself whether it has that one.
    let worker = chunk.worker().unwrap_or(worker);
    let mut ends = chunk.answer();
    // What they come to is held here until all have ended.
    let mut charge = None;
    while !chunk.is_done() {
        let (arguments, own) = match chunk.part() {
            Ok(part) => part,
            Err(e) => return Ok(Err(e)),
        };
        let ended = task_of(store, run, worker, arguments, own, &mut objects).await?;
        let held = match &ended {
            Ok(result) => result.len(),
            Err(why) => why.len(),
        };
        let account = store.data().account();
        let charged = match &mut charge {
            None => account.charge(held).map(|first| charge = Some(first)),
            Some(charge) => charge.add(held),
        };
        let noted = charged.and_then(|()| match &ended {
            Ok(result) => ends.done(result),
            Err(why) => {
                ends.failed(why);
                Ok(())
            }
        });
        if let Err(e) = noted {
            ends.failed(&format!("the result cannot be kept: {e}"));
        }
    }
    Ok(Ok(ends))
}

/// Does one task, with as many of these objects as are its own.
async fn task_of(
    store: &mut Store<State>,
    run: &Run,
    worker: &str,
    arguments: &[u8],
    own: usize,
    objects: &mut IntoIter<Object>,
) -> wasmtime::Result<Result<Vec<u8>, String>> {
    let input = match byte_string(arguments) {
        Ok(input) => input.to_vec(),
        Err(e) => return Ok(Err(format!("the arguments do not begin with bytes: {e}"))),
    };
    let state = store.data_mut();
    state.work.bytes(input.len());
    hand_out(state, objects.by_ref().take(own).collect());
    let (ended,) = run.call_async(&mut *store, (worker.to_string(), input)).await?;
    // What it did not ask for is nobody's.
    hand_out(store.data_mut(), Vec::new());
    Ok(ended)
}

/// Sends how tasks have ended. What no queue can carry is their failure, not the worker's.
async fn send(state: &mut State, results: i32, ends: Ends) -> ops::Result<()> {
    let failed = |e: &Error| ends.all_failed(&format!("the result cannot be sent: {e}"));
    let room = ops::message::outgoing(&state.table, results, ends.size()).map(|_| ());
    let bytes = match room {
        Err(ops::Error::Failed(e @ Error::TooLarge { .. })) => failed(&e).into_bytes(),
        Err(e) => return Err(e),
        Ok(()) => ends.into_bytes(),
    };
    let to = ops::message::outgoing(&state.table, results, bytes.len())?;
    let stored = ops::message::pack(state, &bytes, 0, std::iter::empty())?;
    drop(bytes);
    to.put(state.standing(), stored, Wait::Forever).await
}
