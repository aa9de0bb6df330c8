//! The process that is killed at any place of an operation, and those beside it.

use super::processes::nothing;
use super::tasks::double;
use procbox_cases::walked::{KEY, LARGE, PERMITS, Surroundings, mark, sevens};
use procbox_guest::prelude::*;
use procbox_guest::types::LockGuard;
use procbox_guest::{Poster, Wait, ready};
use std::time::Duration;

/// The end of a wait for what does not come.
const BRIEF: Duration = Duration::from_millis(2);
/// The end of one for what comes, unless somebody was killed.
const LONG: Duration = Duration::from_secs(2);

/// Does one operation, when it is told to.
#[worker]
fn walked(operation: String, all: Surroundings, about: Event, go: Event) -> Result<()> {
    about.set();
    go.wait()?;
    all.journal.put(&mark::BEGAN)?;
    done(&operation, &all)?;
    all.journal.put(&mark::DONE)
}

/// What it comes to the others see: an error of the operation itself is none here.
fn done(operation: &str, all: &Surroundings) -> Result<()> {
    let ctx = procbox_guest::context()?;
    match operation {
        "put" => all.q.put(&sevens(100))?,
        "put_large" => all.q.put(&sevens(LARGE))?,
        "put_handle" => all.carry.put(&ctx.event()?)?,
        "put_full" => drop(all.q.put_timeout(&sevens(8), BRIEF)),
        "put_waits" => all.q.put(&sevens(8))?,
        "get" | "get_large" | "get_waits" => drop(all.q.get()?),
        "get_handle" => drop(all.carry.get()?),
        "get_empty" => drop(all.q.get_timeout(BRIEF)),
        "send" => all.here.send(&sevens(100))?,
        "recv" | "recv_waits" => drop(all.here.recv()?),
        "recv_empty" => drop(all.here.recv_timeout(BRIEF)),
        "lock" | "lock_waits" => {
            let held = all.lock.lock()?;
            all.journal.put(&mark::HOLDS)?;
            all.journal.put(&mark::LETS_GO)?;
            drop(held);
        }
        "permit" | "permit_waits" => drop(all.permits.permit()?),
        "permit_none" => {
            let taken: Vec<_> = (0..=PERMITS).map(|_| all.permits.permit_timeout(BRIEF)).collect();
            drop(taken);
        }
        "read" => drop((all.rwlock.read()?, all.rwlock.try_read())),
        "write" | "write_waits" => drop(all.rwlock.write()?),
        "condition" => drop(all.condition.wait_timeout(all.condition.lock()?, BRIEF)?),
        "condition_waits" => drop(all.condition.wait_timeout(all.condition.lock()?, LONG)?),
        "items" => {
            (0..2).try_for_each(|n| all.items.put(&n))?;
            let _item = all.items.get()?;
            all.items.task_done()?;
            let _item = all.items.get()?;
            all.items.task_done()?;
        }
        "set" => all.event.set(),
        "wait" => drop(all.event.wait_timeout(BRIEF)),
        "wait_waits" => drop(all.event.wait()?),
        "create" => {
            let made = (ctx.queue::<Bytes>(1)?, ctx.pipe::<u32>()?, ctx.semaphore(1)?, ctx.lock()?);
            made.0.put(&sevens(LARGE))?;
        }
        "start" => drop(ctx.process(nothing).start()?.join()?),
        "start_daemon" => {
            let (about, never) = (ctx.event()?, ctx.event()?);
            let daemon = ctx.process(super::processes::blocks).args((&about, &never));
            let _daemon = daemon.daemon(true).start()?;
            about.wait()?;
        }
        "ready" => {
            let all = [all.here.waitable(), all.q.waitable()];
            drop(ready(&ctx, &all, Wait::Forever)?);
        }
        "pool" => drop(ctx.pool(double).workers(2).build()?.map(0..4u64)?),
        "pool_fresh" => drop(ctx.pool(double).workers(2).fresh_per_task().build()?.map(0..3u64)?),
        "main_loop" => {
            let main = ctx.main_loop::<u32>()?;
            let posts = ctx.process(posts_two).args((&main.poster(),)).start()?;
            main.run(drop)?;
            posts.join()?;
        }
        "listen" => serves_one(&ctx, all)?,
        "connect" => asks_once(&ctx, all),
        _ => return Err(Error::Invalid(operation.to_owned())),
    }
    Ok(())
}

/// Posts to the walked process, which may be gone.
#[worker]
fn posts_two(main: Poster<u32>) {
    let _ = main.post(&1).and_then(|()| main.exit(0));
}

/// Accepts one client, if it comes, and sends back what that says.
fn serves_one(ctx: &Context, all: &Surroundings) -> Result<()> {
    let listener = ctx.listen(&*all.name, KEY)?;
    all.event.set();
    if let Ok(client) = listener.accept_timeout::<Bytes>(LONG)
        && let Ok(message) = client.recv_timeout(LONG)
    {
        // It may be gone.
        let _ = client.send(&message);
    }
    Ok(())
}

/// Asks who listens, if somebody does.
fn asks_once(ctx: &Context, all: &Surroundings) {
    if all.event.wait_timeout(LONG) != Ok(true) {
        return;
    }
    let Ok(server) = ctx.connect_timeout::<Bytes>(&*all.name, KEY, LONG) else { return };
    if server.send(&sevens(9)).is_ok()
        && let Ok(answer) = server.recv_timeout(LONG)
    {
        assert!(answer == sevens(9));
    }
}

/// Says so if the one who had the lock before has died.
fn tells_of_a_death(held: &LockGuard<'_>, all: &Surroundings) -> Result<()> {
    if held.owner_died() { all.forwarded.put(&sevens(1)) } else { Ok(()) }
}

/// Does the opposite of what the walked process does, beside it.
#[worker]
fn walks_beside(does: String, all: Surroundings) -> Result<()> {
    match &*does {
        "takes" => all.forwarded.put(&all.q.get()?)?,
        "gives_one" => all.q.put(&sevens(8))?,
        "gives_two" => (0..2).try_for_each(|_| all.q.put(&sevens(8)))?,
        "sends" => all.there.send(&sevens(100))?,
        "holds" => {
            let held = all.lock.lock()?;
            tells_of_a_death(&held, &all)?;
            std::thread::sleep(BRIEF);
            drop(held);
        }
        "locks" => tells_of_a_death(&all.lock.lock()?, &all)?,
        "has_permits" => {
            let both: Vec<_> = (0..PERMITS).map(|_| all.permits.permit_timeout(LONG)).collect();
            std::thread::sleep(BRIEF);
            drop(both);
        }
        "wants_permit" => drop(all.permits.permit()?),
        "sets" => all.event.set(),
        "reads" => {
            let held = all.rwlock.read()?;
            std::thread::sleep(BRIEF);
            drop(held);
        }
        "notifies" => {
            std::thread::sleep(BRIEF);
            all.condition.notify_all()?;
        }
        "connects" => asks_once(&procbox_guest::context()?, &all),
        "listens" => serves_one(&procbox_guest::context()?, &all)?,
        _ => return Err(Error::Invalid(does)),
    }
    Ok(())
}
