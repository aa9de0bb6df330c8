//! The memory that primitives keep, and what is said when there is none left.

use crate::cases::Case;
use crate::{until, workers};
use procbox_core::raw::{Handle, Message};
use procbox_core::{Bytes, Context, Error, Event, Queue, Result, Wait};
use procbox_native::{Native, SharedMemory, shared_memory};
use std::os::unix::fs::MetadataExt;

/// The cases.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("empty_queues_keep_little_whatever_was_in_them", empty_queues_keep_little),
    ("large_messages_use_the_same_memory_again", large_messages_use_the_same_memory),
    ("memory_of_large_messages_is_given_back_also_by_the_dead", memory_comes_back_of_the_dead),
    ("messages_in_place_come_back_of_the_dead", messages_in_place_come_back),
    ("what_only_holds_itself_is_freed", circles_are_freed),
    ("what_only_holds_itself_is_freed_after_a_kill", circles_of_the_dead_are_freed),
    ("what_holds_itself_and_can_be_reached_is_kept", circles_in_use_are_kept),
    ("a_full_arena_says_what_fills_it", a_full_arena_says_what_fills_it),
];

/// What the shared memory of a context is filled with.
pub(crate) fn filled(ctx: &Context) -> SharedMemory {
    shared_memory(ctx).unwrap_or_else(|| panic!("not a native context"))
}

/// Puts a queue into itself.
pub(crate) fn put_into_itself(queue: &Queue<u32>) -> Result<()> {
    put_into(queue, queue)
}

fn put_into(queue: &Queue<u32>, other: &Queue<u32>) -> Result<()> {
    queue.raw().put(b"it", &[Handle::Queue(other.raw().clone())], Wait::Never)
}

/// Makes a circle, of one kind or another, and lets go of it.
pub(crate) fn circle(ctx: &Context, number: u32) -> Result<()> {
    match number % 5 {
        0 => put_into_itself(&ctx.queue(4)?),
        1 => {
            let own = ctx.queue(4)?;
            put_into_itself(&own)?;
            own.put(&1)?;
            put_into_itself(&own)
        }
        2 => {
            let (one, other) = (ctx.queue(4)?, ctx.queue(4)?);
            put_into(&one, &other)?;
            one.raw().put(&[], &[Handle::Event(ctx.raw().event()?)], Wait::Never)?;
            put_into(&other, &one)
        }
        3 => {
            let raw = ctx.raw().pipe(true)?;
            raw.1.send(&[], &[Handle::Pipe(raw.0.clone())], Wait::Never)
        }
        _ => {
            let ring = (0..20).map(|_| ctx.queue(2)).collect::<Result<Vec<_>>>()?;
            (0..20).try_for_each(|at| put_into(&ring[at], &ring[(at + 1) % 20]))
        }
    }
}

fn circles_are_freed() -> Result<()> {
    let ctx = Native::builder().build()?;
    circle(&ctx, 4)?;
    let before = filled(&ctx);
    (0..1000).try_for_each(|number| circle(&ctx, number))?;
    assert_eq!(filled(&ctx), before);
    // One that hangs on a circle, and one on which a circle hangs.
    let (first, last) = (ctx.queue(4)?, ctx.queue(4)?);
    let own = ctx.queue(4)?;
    put_into_itself(&own)?;
    put_into(&first, &own)?;
    put_into(&own, &last)?;
    drop((own, last, first));
    assert_eq!(filled(&ctx), before);
    Ok(())
}

fn circles_of_the_dead_are_freed() -> Result<()> {
    let ctx = Native::builder().build()?;
    let made = ctx.queue(20)?;
    let before = filled(&ctx);
    for _ in 0..20 {
        let p = ctx.process(workers::makes_circles::worker()).args((&made,)).start()?;
        (0..10).try_for_each(|_| made.get().map(drop))?;
        p.kill()?;
        p.join()?;
        while made.try_get().is_ok() {}
        until("nothing of it is left", || filled(&ctx) == before);
    }
    Ok(())
}

fn circles_in_use_are_kept() -> Result<()> {
    let ctx = Native::builder().build()?;
    let before = filled(&ctx);
    let get = |queue: &Queue<u32>| -> Result<Queue<u32>> {
        let mut message = Message::default();
        queue.raw().get(&mut message, Wait::Never)?;
        match message.handles.pop() {
            Some(Handle::Queue(raw)) => Ok(Queue::from_raw(raw)),
            other => Err(Error::Invalid(format!("{}", other.is_some()))),
        }
    };
    let (keeper, own) = (ctx.queue(4)?, ctx.queue(4)?);
    put_into_itself(&own)?;
    put_into(&keeper, &own)?;
    // Nobody has it now, but whoever gets it of the keeper.
    drop(own);
    let own = get(&keeper)?;
    let again = get(&own)?;
    drop(own);
    again.put(&7)?;
    assert_eq!(again.get()?, 7);
    put_into_itself(&again)?;
    // One that another process has.
    let (started, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process(workers::keeps_a_queue::worker()).args((&again, &started, &go)).start()?;
    started.wait()?;
    drop(again);
    go.set();
    assert_eq!(p.join()?.exitcode(), 0);
    drop((keeper, started, go));
    until("nothing is left", || filled(&ctx).primitives == before.primitives);
    Ok(())
}

fn a_full_arena_says_what_fills_it() -> Result<()> {
    let ctx = Native::builder().shared_memory(8 << 20).build()?;
    let (queue, other) = (ctx.unbounded_queue::<Vec<u8>>()?, ctx.queue::<Event>(4)?);
    let message = vec![7; 20_000];
    let (full, put) = (0..)
        .find_map(|number| queue.put(&message).err().map(|e| (e, number)))
        .unwrap_or((Error::Full, 0));
    assert!(matches!(full, Error::Exhausted(_)), "{full:?}");
    let text = full.to_string();
    let fullest = format!("messages in 2 queues and 0 ends of pipes, the fullest with {put};");
    for part in ["8 MiB of shared memory", &fullest, "table of 1 processes", "shared_memory gives"]
    {
        assert!(text.contains(part), "{text}");
    }
    // What is there is whole, and there is room again.
    (0..put).try_for_each(|_| queue.get().map(|got| assert!(got == message)))?;
    queue.put(&message)?;
    other.put(&ctx.event()?)?;
    // Primitives that are too many say so too.
    let mut all = Vec::new();
    let full = loop {
        match ctx.queue::<u32>(1) {
            Ok(queue) => all.push(queue),
            Err(e) => break e.to_string(),
        }
    };
    assert!(full.contains(&format!("messages in {} queues", all.len() + 2)), "{full}");
    Ok(())
}

/// The memory of this process's arenas.
fn in_arenas() -> u64 {
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let arenas = files.map(|file| file.path()).filter(|path| {
        std::fs::read_link(path).is_ok_and(|name| name.to_string_lossy().contains("procbox-arena"))
    });
    arenas.filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.blocks() * 512).sum()
}

fn empty_queues_keep_little() -> Result<()> {
    let before = in_arenas();
    let ctx = procbox_native::Native::builder().build()?;
    let queues = (0..20).map(|_| ctx.unbounded_queue::<()>()).collect::<Result<Vec<_>>>()?;
    let put_and_get = |queue: &Queue<()>, sizes: &[usize]| -> Result<()> {
        for size in sizes {
            queue.raw().put(&vec![1; *size], &[], Wait::Never)?;
        }
        for size in sizes {
            let mut message = Message::default();
            queue.raw().get(&mut message, Wait::Never)?;
            assert_eq!(message.bytes.len(), *size);
            assert!(message.bytes.iter().all(|byte| *byte == 1));
        }
        Ok(())
    };
    for queue in &queues {
        put_and_get(queue, &[5 << 20])?;
        put_and_get(queue, &[1 << 20, 3, 5 << 20])?;
    }
    let kept = || in_arenas().saturating_sub(before);
    // At once it is no more than is kept for the next large messages, and soon that is given back.
    assert!(kept() < 72 << 20, "{} bytes in {} empty queues", kept(), queues.len());
    until("empty queues keep little", || kept() < 8 << 20);
    // They are as good as new.
    queues.iter().try_for_each(|queue| put_and_get(queue, &[0, 3 << 20, 1, 70_000, 2 << 20]))
}

/// Page faults of this process, so far.
fn faults() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.minor_page_faults())
}

fn large_messages_use_the_same_memory() -> Result<()> {
    let ctx = Native::builder().build()?;
    let q = ctx.queue::<Bytes>(8)?;
    let pass = || -> Result<()> {
        (0..4).try_for_each(|_| {
            let mut loan = q.loan(1 << 20)?;
            loan.fill(7);
            loan.put()
        })?;
        (0..4)
            .try_for_each(|_| q.get_loaned().map(|got| assert!(got.iter().all(|byte| *byte == 7))))
    };
    pass()?;
    pass()?;
    // A pass touches 1024 pages.
    let before = faults();
    (0..10).try_for_each(|_| pass())?;
    let faults = faults() - before;
    assert!(faults < 512, "{faults} page faults in ten passes of four messages of 1 MiB");
    Ok(())
}

fn memory_comes_back_of_the_dead() -> Result<()> {
    let before = in_arenas();
    let ctx = Native::builder().build()?;
    let (q, done) = (ctx.queue::<Bytes>(8)?, ctx.event()?);
    for _ in 0..3 {
        // It looks after what is kept, and is killed before it gives that back.
        let p = ctx.process(workers::keeps_blocks::worker()).args((&q, &done)).start()?;
        done.wait()?;
        done.clear();
        p.kill()?;
        p.join()?;
        while q.try_get().is_ok() {}
        until("what it kept is given back", || in_arenas().saturating_sub(before) < 4 << 20);
    }
    Ok(())
}

fn messages_in_place_come_back() -> Result<()> {
    let ctx = Native::builder().build()?;
    let (q, held) = (ctx.queue::<Bytes>(8)?, ctx.event()?);
    let before = filled(&ctx);
    for _ in 0..10 {
        (0..4).try_for_each(|_| q.put(&Bytes(vec![7; 300_000])))?;
        let p = ctx.process(workers::holds_in_place::worker()).args((&q, &held)).start()?;
        held.wait()?;
        held.clear();
        assert!(filled(&ctx).messages_bytes >= before.messages_bytes + 8 * 300_000);
        p.kill()?;
        p.join()?;
        until("nothing of it is left", || {
            let now = filled(&ctx);
            (now.messages_bytes, now.most_messages) == (before.messages_bytes, 0)
        });
    }
    Ok(())
}
