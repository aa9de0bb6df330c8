//! Support for the cases: expectations that say where they failed, and waits.

use anyhow::{bail, ensure};
use procbox_guest::{Context, Error, Event, Process, Result};
use std::fmt::Debug;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Result of a case.
pub(crate) type Verdict = anyhow::Result<()>;

/// Timeout of a wait that is meant to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(200);
/// By then it is back, also on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(2);

/// Fails unless a call failed, and with this error.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T>, expected: Error) -> Verdict {
    let at = Location::caller();
    match result {
        Err(e) if e == expected => Ok(()),
        Err(e) => bail!("{at}: it failed with {e:?}, not with {expected:?}"),
        Ok(_) => bail!("{at}: it went well, but {expected:?} was due"),
    }
}

/// Fails unless the two are equal.
#[track_caller]
pub(crate) fn same<A: Debug + PartialEq<B>, B: Debug>(found: A, expected: B) -> Verdict {
    let at = Location::caller();
    ensure!(found == expected, "{at}: {found:?}, not {expected:?}");
    Ok(())
}

/// Makes a call that is meant to wait for [`SHORT`] and then to run out.
#[track_caller]
pub(crate) fn runs_out<T>(call: impl FnOnce(Duration) -> T) -> anyhow::Result<T> {
    let at = Location::caller();
    let began = Instant::now();
    let result = call(SHORT);
    let took = began.elapsed();
    ensure!(took >= SHORT, "{at}: the wait of {SHORT:?} was over after {took:?}");
    ensure!(took < LATE, "{at}: the wait of {SHORT:?} took {took:?}");
    Ok(result)
}

/// Waits for what there is no call to wait for. The watchdog sees to an end.
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Gives a process that has just said that it is about to block the time to do so. No case depends
/// on it: each holds whether the other is blocked already or not yet.
pub(crate) fn let_it_block() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Waits for its end.
pub(crate) fn exitcode(process: &Process) -> Result<i32> {
    Ok(process.join()?.exitcode())
}

/// A process that has started and waits for something that does not happen. It is a daemon, so that
/// a case that fails leaves nothing behind.
pub(crate) fn blocked(ctx: &Context) -> Result<Process> {
    let (started, forever) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("blocks").args((&started, &forever)).daemon(true).start()?;
    started.wait()?;
    Ok(p)
}

/// A process that has started and computes for ever; a daemon too.
pub(crate) fn spinning(ctx: &Context) -> Result<Process> {
    let started = ctx.event()?;
    let p = ctx.process("spins").args((&started,)).daemon(true).start()?;
    started.wait()?;
    Ok(p)
}

/// Waits until a process has said so, and then a little.
pub(crate) fn about_to_block(about: &Event) -> Result<()> {
    about.wait()?;
    let_it_block();
    Ok(())
}
