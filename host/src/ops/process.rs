//! Processes: starting and watching them, and waiting for several things.

use super::error::{Error, Result};
use super::wait::within;
use crate::account::WAITED;
use crate::object::{Object, Stored};
use crate::process::HostProcess;
use crate::ready::{self, Source};
use crate::state::State;
use crate::table::Table;
use procbox_core::observe::Operation;
use procbox_core::raw::{Entry, Identity, ProcessSpec, RawProcess};
use procbox_core::{ExitStatus, Wait};
use std::sync::Arc;
use std::time::Duration;

fn find(table: &Table, handle: i32) -> Result<&Arc<HostProcess>> {
    match table.get(handle) {
        Some(Object::Process(process)) => Ok(process),
        _ => Err(Error::BadHandle),
    }
}

/// A process that is to be started.
pub(crate) struct Start {
    pub(crate) entry: Entry,
    pub(crate) name: String,
    pub(crate) daemon: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cpu_time: Option<Duration>,
}

/// Says whether the process may start others.
pub(crate) fn check_start(state: &State) -> Result<()> {
    if !state.environment.may_start() {
        return Err(procbox_core::Error::NotGranted("start processes").into());
    }
    if state.process.identity.daemon {
        return Err(procbox_core::Error::DaemonStart.into());
    }
    Ok(())
}

/// The longest name of a process or a worker, in bytes.
const NAME: usize = 4 << 10;
/// The most bytes of a program's arguments, and the most arguments: far more than a shell hands on.
const WORDS: (usize, usize) = (1 << 20, 64 << 10);

/// Says whether a name and a worker, or a program's arguments, may be so long.
pub(crate) fn check_texts(name: usize, worker: usize) -> Result<()> {
    for (size, limit) in [(name, NAME), (worker, WORDS.0)] {
        if size > limit {
            return Err(procbox_core::Error::TooLarge { size, limit }.into());
        }
    }
    Ok(())
}

/// Says whether a program may have so many arguments.
pub(crate) fn check_words(words: usize) -> Result<()> {
    let limit = WORDS.1;
    if words > limit {
        return Err(procbox_core::Error::TooLarge { size: words, limit }.into());
    }
    Ok(())
}

/// Starts a process of the same program. What it prints goes where this process's output goes.
pub(crate) fn start(state: &mut State, start: Start, arguments: Stored) -> Result<i32> {
    check_start(state)?;
    state.table.reserve(1)?;
    let child = begin(state, start, arguments).inspect_err(|_| state.table.give_up(1))?;
    state.add_child(child.clone());
    Ok(state.table.place(Object::Process(child)))
}

fn begin(state: &State, start: Start, arguments: Stored) -> Result<Arc<HostProcess>> {
    let process = &state.process;
    let me = &process.identity;
    let mut identity = Identity::new(start.name, 0);
    identity.daemon = start.daemon;
    identity.authkey = me.authkey.clone();
    identity.parent = Some((me.pid, me.name.clone()));
    let mut spec = ProcessSpec::new(start.entry, identity);
    (spec.stdout, spec.stderr) = (state.spec.stdout, state.spec.stderr);
    (spec.timeout, spec.cpu_time) = (start.timeout, start.cpu_time);
    Ok(state.environment.clone().start(spec, arguments, process)?)
}

/// A process's pid.
pub(crate) fn pid(state: &State, handle: i32) -> Result<u32> {
    Ok(find(&state.table, handle)?.identity.pid)
}

/// The end of a process, if it has ended.
pub(crate) fn status(state: &State, handle: i32) -> Result<ExitStatus> {
    let status = find(&state.table, handle)?.status_now();
    Ok(status.ok_or(procbox_core::Error::TimedOut)?)
}

/// The end of a process, waiting for that.
pub(crate) async fn join(state: &mut State, handle: i32, wait: Wait) -> Result<ExitStatus> {
    let process = find(&state.table, handle)?;
    let on = (Operation::Join, process.identity.pid.into());
    let servers = || vec![process.server()];
    Ok(within(state.standing(), wait, on, servers, process.joined()).await?)
}

/// Ends a process by -15.
pub(crate) fn terminate(state: &State, handle: i32) -> Result<()> {
    Ok(find(&state.table, handle)?.terminate()?)
}

/// Ends a process by -9.
pub(crate) fn kill(state: &State, handle: i32) -> Result<()> {
    Ok(find(&state.table, handle)?.kill()?)
}

/// Does to a process what Ctrl-C does.
pub(crate) fn interrupt(state: &State, handle: i32) -> Result<()> {
    Ok(RawProcess::interrupt(&**find(&state.table, handle)?)?)
}

/// Something that the process can wait for among others.
pub(crate) fn source(table: &Table, handle: i32) -> Result<Arc<dyn Source>> {
    table.get(handle).and_then(Object::source).ok_or(Error::BadHandle)
}

/// The indices of those that are ready, waiting until there is one.
pub(crate) async fn wait_any(
    state: &mut State,
    sources: &[Arc<dyn Source>],
    wait: Wait,
) -> Result<Vec<usize>> {
    let _charge = state.account().charge(sources.len() * WAITED)?;
    let standing = state.standing().with_sources(sources);
    let servers = || sources.iter().map(|source| source.server()).collect();
    Ok(within(standing, wait, (Operation::Ready, 0), servers, ready::until_ready(sources)).await?)
}
