//! Waits as futures. Who awaits them here is a thread that sleeps until it is woken; it needs no more.

use crate::Shared;
use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Bytes, Context, Error, Event, Process, Queue, Result};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Polling, Poll, Wake, Waker};
use std::thread::Thread;

/// Wakes a thread, and counts.
struct Sleeper {
    thread: Thread,
    woken: AtomicUsize,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn sleeper() -> Arc<Sleeper> {
    Arc::new(Sleeper { thread: std::thread::current(), woken: AtomicUsize::new(0) })
}

/// Polls to the end, and sleeps in between.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let sleeper = sleeper();
    let waker = Waker::from(sleeper.clone());
    let mut future = pin!(future);
    let mut seen = 0;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Polling::from_waker(&waker)) {
            return value;
        }
        while sleeper.woken.load(Ordering::SeqCst) == seen {
            std::thread::park();
        }
        seen = sleeper.woken.load(Ordering::SeqCst);
    }
}

/// Polls once.
fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Polling::from_waker(&Waker::from(sleeper())))
}

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// Awaits all together. A future is polled when it was woken, and not else.
fn block_on_all<T>(futures: Vec<Boxed<T>>) -> Vec<T> {
    let mut all: Vec<_> = futures.into_iter().map(|future| (future, sleeper(), None)).collect();
    let mut values: Vec<Option<T>> = all.iter().map(|_| None).collect();
    let mut left = all.len();
    while left > 0 {
        let mut polled = false;
        for ((future, sleeper, seen), value) in all.iter_mut().zip(&mut values) {
            let now = Some(sleeper.woken.load(Ordering::SeqCst));
            if value.is_some() || *seen == now {
                continue;
            }
            *seen = now;
            polled = true;
            let waker = Waker::from(sleeper.clone());
            if let Poll::Ready(done) = future.as_mut().poll(&mut Polling::from_waker(&waker)) {
                *value = Some(done);
                left -= 1;
            }
        }
        if !polled {
            std::thread::park();
        }
    }
    values.into_iter().flatten().collect()
}

pub(crate) fn messages_and_room_are_awaited(ctx: &Context) -> Verdict {
    let (q, about, out) = (ctx.queue::<u32>(1)?, ctx.queue::<()>(4)?, ctx.queue::<String>(4)?);
    let puts = ctx.process("puts").args((&q, 7u32, &about, &out)).daemon(true).start()?;
    same(block_on(q.get_async())?, 7)?;
    block_on(q.put_async(&1))?;
    let gets = ctx.process("gets").args((&q, &about, &out)).daemon(true).start()?;
    block_on(q.put_async(&2))?;
    same(block_on(q.get_async())?, 2)?;
    same((exitcode(&puts)?, exitcode(&gets)?), (0, 0))?;
    q.close();
    refused(block_on(q.get_async()), Error::Closed)?;
    refused(block_on(q.put_async(&3)), Error::Closed)
}

pub(crate) fn an_end_of_a_pipe_is_awaited(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<Bytes>()?;
    let p = ctx.process("echoes").args((there,)).daemon(true).start()?;
    let large = Bytes(vec![9; 1 << 20]);
    for message in [Bytes(b"hello".to_vec()), large] {
        block_on(here.send_async(&message))?;
        ensure!(block_on(here.recv_async())? == message, "it did not come back as it was");
    }
    p.kill()?;
    p.join()?;
    refused(block_on(here.recv_async()), Error::Closed)?;
    let (receiver, sender) = ctx.simplex_pipe::<u32>()?;
    block_on(sender.send_async(&1))?;
    same(block_on(receiver.recv_async())?, 1)?;
    drop(receiver);
    refused(block_on(sender.send_async(&2)), Error::Closed)
}

pub(crate) fn permits_of_who_is_killed_are_awaited(ctx: &Context) -> Verdict {
    let (semaphore, held, forever) = (ctx.semaphore(1)?, ctx.event()?, ctx.event()?);
    let args = (&semaphore, &held, &forever);
    let p = ctx.process("holds_permit").args(args).daemon(true).start()?;
    block_on(held.wait_async())?;
    same(semaphore.available(), 0)?;
    p.kill()?;
    drop(block_on(semaphore.permit_async())?);
    block_on(semaphore.acquire_async())?;
    same(semaphore.available(), 0)?;
    Ok(semaphore.release()?)
}

pub(crate) fn a_lock_of_who_is_killed_is_awaited(ctx: &Context) -> Verdict {
    let (lock, held, go) = (ctx.lock()?, ctx.event()?, ctx.event()?);
    for killed in [true, false] {
        let p = ctx.process("holds_lock").args((&lock, &held, &go)).daemon(true).start()?;
        block_on(held.wait_async())?;
        held.clear();
        if killed {
            p.kill()?
        } else {
            go.set()
        }
        let guard = block_on(lock.lock_async())?;
        same(guard.owner_died(), killed)?;
        drop(guard);
        p.join()?;
    }
    let _ = block_on(lock.acquire_async())?;
    Ok(lock.release()?)
}

pub(crate) fn an_event_is_awaited_also_if_it_is_cleared_at_once(ctx: &Context) -> Verdict {
    let event = ctx.event()?;
    let mut waiting = pin!(event.wait_async());
    ensure!(poll_once(waiting.as_mut()).is_pending());
    event.set();
    event.clear();
    block_on(waiting)?;
    ensure!(poll_once(pin!(event.wait_async())).is_pending(), "that was before");
    Ok(())
}

pub(crate) fn processes_and_their_values_are_awaited(ctx: &Context) -> Verdict {
    let p = blocked(ctx)?;
    p.kill()?;
    same(block_on(p.join_async())?.exitcode(), -9)?;
    same(block_on(p.join_async())?.exitcode(), -9)?;
    let go = ctx.event()?;
    let spawned = ctx.spawn::<(Event,), u64>("waits_task", (&go,))?;
    go.set();
    block_on(spawned.join_async())?;
    refused(block_on(ctx.process("nothing").build().join_async()), Error::NotStarted)
}

pub(crate) fn tasks_are_awaited(ctx: &Context) -> Verdict {
    let pool = ctx.pool::<(u64,), u64>("double").workers(2).build()?;
    same(block_on(pool.apply_async((21u64,))?.into_future())?, 42)?;
    let result = pool.apply_async((4u64,))?;
    same(block_on((&result).into_future())?, 8)?;
    refused(block_on(result.into_future()), Error::Closed)?;
    let doubled = block_on(pool.map_async(0..1000u64)?.into_future())?;
    ensure!(doubled.iter().copied().eq((0..1000).map(|n| 2 * n)));
    let fails = ctx.pool::<(u64, u64), u64>("fails_on").workers(1).build()?;
    let failed = block_on(fails.apply_async((3u64, 3u64))?.into_future());
    ensure!(matches!(&failed, Err(Error::Task(_))), "{failed:?}");
    Ok(())
}

pub(crate) fn a_task_that_is_awaited_is_cancelled(ctx: &Context) -> Verdict {
    let go = ctx.event()?;
    let pool = ctx.pool::<(Event,), u64>("waits_task").workers(1).build()?;
    let task = pool.apply_async((&go,))?;
    {
        let mut waiting = (&task).into_future();
        ensure!(poll_once(waiting.as_mut()).is_pending());
    }
    let waiting = (&task).into_future();
    ensure!(task.cancel());
    refused(block_on(waiting), Error::Cancelled)?;
    go.set();
    block_on(pool.apply_async((&go,))?.into_future())?;
    Ok(())
}

pub(crate) fn clients_are_awaited(ctx: &Context) -> Verdict {
    let name = format!("polled-{}-{}", ctx.backend(), ctx.current_process().pid);
    let listener = ctx.listen(&*name, b"secret")?;
    let address = name;
    let talk = std::thread::scope(|scope| -> Verdict {
        let client = scope.spawn(|| -> Result<()> {
            let peer = ctx.connect::<String>(&*address, b"secret")?;
            peer.send("hello")?;
            same_text(peer.recv()?, "hello yourself")
        });
        let peer = block_on(listener.accept_async::<String>())?;
        same(block_on(peer.recv_async())?, "hello")?;
        peer.send("hello yourself")?;
        refused(block_on(peer.recv_async()), Error::Closed)?;
        client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?.map_err(Into::into)
    });
    talk?;
    std::thread::scope(|scope| {
        let client = scope.spawn(|| ctx.connect::<String>(&*address, b"another").is_err());
        let refused = block_on(listener.accept_async::<String>());
        ensure!(matches!(refused, Err(Error::AuthenticationFailed(_))), "{refused:?}");
        ensure!(client.join().is_ok_and(|refused| refused));
        Ok(())
    })
}

fn same_text(found: String, expected: &str) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Task(found)) }
}

fn has(ctx: &Context, it: Shared, how: &str) -> Result<(Process, Event)> {
    let (held, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("has_it").args((&it, how, &held, &go)).daemon(true).start()?;
    held.wait()?;
    Ok((p, go))
}

pub(crate) fn what_stands_on_ledgers_is_awaited(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    let (p, go) = has(ctx, Shared::RwLock(lock.clone()), "read")?;
    go.set();
    drop(block_on(lock.write_async())?);
    same(exitcode(&p)?, 0)?;

    let bounded = ctx.bounded_semaphore(1)?;
    let (p, go) = has(ctx, Shared::Bounded(bounded.clone()), "")?;
    go.set();
    drop(block_on(bounded.permit_async())?);
    block_on(bounded.acquire_async())?;
    bounded.release()?;
    same(exitcode(&p)?, 0)?;

    let once = ctx.once()?;
    let (p, go) = has(ctx, Shared::Once(once.clone()), "")?;
    go.set();
    block_on(once.wait_async())?;
    block_on(once.call_async(|_| Err(Error::Task("it is done already".into()))))?;
    same(exitcode(&p)?, 0)?;

    let (barrier, about, out) = (ctx.barrier(2)?, ctx.event()?, ctx.queue::<String>(2)?);
    let args = (Shared::Barrier(barrier.clone()), "", &about, &out);
    let p = ctx.process("waits_for_it").args(args).daemon(true).start()?;
    block_on(barrier.wait_async())?;
    same(block_on(out.get_async())?, "Ok(false)")?;
    same(exitcode(&p)?, 0)?;

    let items = ctx.joinable_queue::<u64>(2)?;
    let sum = ctx.queue(1)?;
    sum.put(&0u64)?;
    let p = ctx.process("handles_items").args((&items, &sum)).daemon(true).start()?;
    for item in 1..=10 {
        block_on(items.put_async(&item))?;
    }
    same(block_on(items.join_async())?, 0)?;
    same(sum.get()?, 55)?;
    items.close()?;
    same(exitcode(&p)?, 0)?;
    refused(block_on(items.get_async()), Error::Closed)
}

pub(crate) fn what_those_who_are_killed_had_on_ledgers_is_awaited(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    let (p, _) = has(ctx, Shared::RwLock(lock.clone()), "write")?;
    p.kill()?;
    ensure!(block_on(lock.read_async())?.owner_died());

    let bounded = ctx.bounded_semaphore(1)?;
    let (p, _) = has(ctx, Shared::Bounded(bounded.clone()), "")?;
    p.kill()?;
    drop(block_on(bounded.permit_async())?);
    block_on(bounded.acquire_async())?;
    Ok(bounded.release()?)
}

pub(crate) fn a_condition_is_awaited(ctx: &Context) -> Verdict {
    let (condition, buffer) = (ctx.condition()?, ctx.queue::<u64>(1)?);
    let emptied = ctx.condition()?;
    let args = (&condition, &emptied, &buffer, 1u64);
    let p = ctx.process("empties").args(args).daemon(true).start()?;
    let guard = block_on(condition.lock_async())?;
    buffer.put(&0)?;
    condition.notify_all()?;
    drop(guard);
    let mut guard = block_on(emptied.lock_async())?;
    while !buffer.is_empty() {
        guard = block_on(emptied.wait_async(guard))?;
    }
    drop(guard);
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_wait_that_is_dropped_leaves_all_as_it_was(ctx: &Context) -> Verdict {
    let (q, semaphore) = (ctx.queue::<u32>(1)?, ctx.semaphore(0)?);
    {
        let (mut get, mut acquire) = (pin!(q.get_async()), pin!(semaphore.acquire_async()));
        ensure!(poll_once(get.as_mut()).is_pending());
        ensure!(poll_once(acquire.as_mut()).is_pending());
        q.put(&1)?;
        semaphore.release()?;
    }
    same((q.len(), semaphore.available()), (1, 1))?;
    {
        let mut put = pin!(q.put_async(&2));
        ensure!(poll_once(put.as_mut()).is_pending());
        same(q.get()?, 1)?;
    }
    same(q.len(), 0)?;

    let lock = ctx.rwlock()?;
    let reads = lock.read()?;
    {
        let mut write = pin!(lock.write_async());
        ensure!(poll_once(write.as_mut()).is_pending());
        refused(lock.try_read(), Error::TimedOut)?;
    }
    drop(lock.try_read()?);
    drop(reads);
    drop(lock.try_write()?);

    let barrier = ctx.barrier(2)?;
    {
        let mut wait = pin!(barrier.wait_async());
        ensure!(poll_once(wait.as_mut()).is_pending());
    }
    ensure!(barrier.is_broken()?, "a party has gone");

    // A call that one has had who goes is another's.
    let condition = ctx.condition()?;
    let mut second = pin!(async { condition.wait_async(condition.lock_async().await?).await });
    {
        let mut first = pin!(async { condition.wait_async(condition.lock_async().await?).await });
        ensure!(poll_once(first.as_mut()).is_pending());
        ensure!(poll_once(second.as_mut()).is_pending());
        let _guard = condition.lock()?;
        same(condition.notify(1)?, 1)?;
    }
    drop(block_on(second)?);

    // Nor does the wake of one who goes get lost.
    let mut second = pin!(q.get_async());
    let mut first = pin!(None);
    first.set(Some(q.get_async()));
    if let Some(first) = first.as_mut().as_pin_mut() {
        ensure!(poll_once(first).is_pending());
    }
    ensure!(poll_once(second.as_mut()).is_pending());
    q.put(&3)?;
    first.set(None);
    same(block_on(second)?, 3)
}

pub(crate) fn many_await_one_queue_and_none_is_forgotten(ctx: &Context) -> Verdict {
    const MANY: u32 = 500;
    let q = ctx.queue::<u32>(8)?;
    let get = |_| {
        let q = q.clone();
        Box::pin(async move { q.get_async().await }) as Boxed<Result<u32>>
    };
    let put = |n| {
        let q: Queue<u32> = q.clone();
        Box::pin(async move { q.put_async(&n).await.map(|()| 0u32) }) as Boxed<Result<u32>>
    };
    let all = (0..MANY).map(get).chain((1..=MANY).map(put)).collect();
    let sum = block_on_all(all).into_iter().sum::<Result<u32>>()?;
    same(sum, (1..=MANY).sum::<u32>())?;
    same(q.len(), 0)
}

pub(crate) fn tasks_of_one_thread_await_a_lock_of_each_other(ctx: &Context) -> Verdict {
    let (lock, inside) = (ctx.lock()?, ctx.queue::<u32>(1)?);
    let go_in = |n: u32| {
        let (lock, inside) = (lock.clone(), inside.clone());
        Box::pin(async move {
            let guard = lock.lock_async().await?;
            inside.try_put(&n)?;
            // The others are polled meanwhile.
            let mut polls = 0;
            std::future::poll_fn(|cx| {
                polls += 1;
                cx.waker().wake_by_ref();
                if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let n = inside.try_get()?;
            drop(guard);
            Ok(n)
        }) as Boxed<Result<u32>>
    };
    let sum = block_on_all((1..=5).map(go_in).collect()).into_iter().sum::<Result<u32>>()?;
    same(sum, 15)
}
