//! A `main` that answers Ctrl-C wherever it is blocked, and says that it did.

use super::{announce, blocked, tasks};
use procbox_guest::prelude::*;
use procbox_guest::ready;
use std::time::Duration;

/// Blocks in a call of this name, and says what came of it. What it started is then ended, as a
/// program that answers Ctrl-C would end it.
pub(crate) fn answer_in(ctx: &Context, what: &str) -> anyhow::Result<()> {
    procbox_guest::answer_ctrl_c()?;
    let q = ctx.queue::<u32>(1)?;
    let (event, semaphore, lock) = (ctx.event()?, ctx.semaphore(0)?, ctx.lock()?);
    let (pipe, _other_end) = ctx.pipe::<u32>()?;
    let result = match what {
        "join" => blocked_in(|p| p.join().map(drop), blocked(ctx)?),
        "join-timeout" => blocked_in(|p| p.join_timeout(Duration::MAX).map(drop), blocked(ctx)?),
        "get" => blocked_in(|q| q.get().map(drop), q),
        "put" => {
            q.put(&1)?;
            blocked_in(|q| q.put(&2), q)
        }
        "acquire-lock" => {
            let held = ctx.event()?;
            let p = ctx.process(super::primitives::holds_lock).args((&lock, &held, &event));
            let _holder = p.start()?;
            held.wait()?;
            blocked_in(|lock| lock.acquire().map(drop), lock)
        }
        "acquire-permit" => blocked_in(|s| s.acquire(), semaphore),
        "wait" => blocked_in(|event| event.wait().map(drop), event),
        "recv" => blocked_in(|pipe| pipe.recv().map(drop), pipe),
        "poll" => blocked_in(|pipe| pipe.poll(Duration::MAX).map(drop), pipe),
        "ready" => blocked_in(|q| ready(ctx, &[q.waitable()], Wait::Forever).map(drop), q),
        "accept" => {
            // A name is the whole machine's.
            let name = format!("nobody comes here {}", ctx.current_process().pid);
            let listener = ctx.listen(name, b"key")?;
            blocked_in(|listener| listener.accept::<u32>().map(drop), listener)
        }
        "main-loop" => blocked_in(|main| main.run(drop).map(drop), ctx.main_loop::<u32>()?),
        "pool-result" => {
            let pool = ctx.pool(tasks::waits_task).workers(2).build()?;
            let result = pool.apply_async((&event,))?;
            blocked_in(|result| result.get().map(drop), result)
        }
        "map" => {
            let pool = ctx.pool(tasks::waits_task).workers(2).build()?;
            blocked_in(|pool| pool.map(vec![event; 5]).map(drop), pool)
        }
        _ => anyhow::bail!("it cannot be blocked in {what}"),
    };
    println!("{what}: {result:?}");
    procbox_guest::clear_interrupt();
    ctx.active_children().iter().try_for_each(Process::kill)?;
    Ok(result?)
}

/// Says that it is about to block, and blocks.
fn blocked_in<T>(call: impl FnOnce(&T) -> Result<()>, it: T) -> Result<()> {
    announce().map_err(|e| Error::Invalid(e.to_string()))?;
    call(&it)
}
