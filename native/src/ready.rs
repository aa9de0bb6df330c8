//! Waiting for several things at once.
//!
//! Queues and pipes are futex words, sockets are file descriptors, and a process can be waited for
//! as either. So words are waited for with one `futex_waitv` and descriptors with one `poll`; where
//! there are queues and sockets, a thread polls the sockets for as long and has a word of its own.
//! More words than the kernel waits for are replaced by one, which the arena's queues share.

use crate::arena::Arena;
use crate::connection::{NativeConnection, NativeListener};
use crate::pipe::NativePipe;
use crate::process::NativeProcess;
use crate::queue::NativeQueue;
use crate::ring::Ring;
use crate::sync::futex::{self, MOST_WORDS};
use crate::sync::poll::block;
use crate::sync::{MOST_SPIN, spin_yielding};
use crate::syscalls::os;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use procbox_core::raw::RawProcess;
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Error, Result, Wait, Waitable};
use std::any::Any;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

enum Source<'a> {
    Ring(Ring<'a>),
    Process(&'a NativeProcess),
    Connection(&'a NativeConnection),
    Listener(&'a NativeListener),
}

fn source<'a>(arena: &Arc<Arena>, it: &'a Waitable) -> Result<Source<'a>> {
    let of_arena = |theirs: &Arc<Arena>| Arc::ptr_eq(theirs, arena);
    let source = match it {
        Waitable::Queue(raw) => {
            let queue: Option<&NativeQueue> = (&**raw as &dyn Any).downcast_ref();
            queue.filter(|q| of_arena(&q.0.arena)).map(|q| Source::Ring(q.ring()))
        }
        Waitable::Pipe(raw) => {
            let pipe: Option<&NativePipe> = (&**raw as &dyn Any).downcast_ref();
            pipe.filter(|p| of_arena(&p.0.arena)).map(|p| Source::Ring(p.incoming()))
        }
        Waitable::Process(raw) => {
            let process: Option<&NativeProcess> = (&**raw as &dyn Any).downcast_ref();
            process.filter(|p| of_arena(p.0.arena())).map(Source::Process)
        }
        Waitable::Connection(raw) => (&**raw as &dyn Any).downcast_ref().map(Source::Connection),
        Waitable::Listener(raw) => (&**raw as &dyn Any).downcast_ref().map(Source::Listener),
        _ => None,
    };
    source.ok_or(Error::ForeignHandle)
}

impl<'a> Source<'a> {
    fn is_ready(&self) -> bool {
        match self {
            Source::Ring(ring) => ring.is_ready(),
            Source::Process(process) => process.status().is_some(),
            Source::Connection(connection) => connection.is_ready(),
            Source::Listener(listener) => listener.is_ready(),
        }
    }

    /// The word to wait for, and the value from which it changes.
    fn word(&self) -> Option<(&'a AtomicU32, u32)> {
        match self {
            Source::Ring(ring) => Some(ring.want_items()),
            _ => None,
        }
    }

    /// Has the arena's shared word change when this one may be ready.
    fn announce_shared(&self) {
        if let Source::Ring(ring) = self {
            ring.want_items_shared();
        }
    }

    fn socket(&self) -> Option<PollFd<'a>> {
        match self {
            Source::Connection(connection) => Some(connection.awaited()),
            Source::Listener(listener) => Some(listener.awaited()),
            Source::Ring(_) | Source::Process(_) => None,
        }
    }

    fn pidfd(&self) -> Option<PollFd<'a>> {
        match self {
            Source::Process(process) => Some(PollFd::new(process.0.pidfd(), PollFlags::POLLIN)),
            _ => None,
        }
    }
}

/// The indices of those that are ready, at least one. `deaths` is bumped when a child has ended.
pub(crate) fn ready(
    arena: &Arc<Arena>,
    deaths: &AtomicU32,
    those: &[Waitable],
    wait: Wait,
) -> Result<Vec<usize>> {
    let sources = those.iter().map(|it| source(arena, it)).collect::<Result<Vec<_>>>()?;
    let rings = sources.iter().filter(|source| matches!(source, Source::Ring(_))).count();
    // Beyond what the kernel takes at once, all of them are awaited by one word.
    let share = rings > MOST_WORDS;
    let until = wait.deadline(&SystemClock);
    // Rings alone: of a process the kernel has to be asked.
    let is_put = |source: &Source<'_>| matches!(source, Source::Ring(ring) if ring.is_ready());
    let is_brief = matches!(wait, Wait::AtMost(time) if time < MOST_SPIN);
    if rings > 0 && !wait.is_never() && !is_brief {
        spin_yielding(|| sources.iter().any(is_put));
    }
    loop {
        let deaths = (deaths, deaths.load(Ordering::SeqCst));
        let words: Vec<_> = if share {
            let shared = (arena.shared(), arena.shared().load(Ordering::SeqCst));
            sources.iter().for_each(Source::announce_shared);
            vec![shared]
        } else {
            sources.iter().filter_map(Source::word).collect()
        };
        let due = |(index, source): (usize, &Source<'_>)| source.is_ready().then_some(index);
        let due: Vec<usize> = sources.iter().enumerate().filter_map(due).collect();
        if !due.is_empty() {
            return Ok(due);
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        let sockets: Vec<_> = sources.iter().filter_map(Source::socket).collect();
        match (words.is_empty(), sockets.is_empty()) {
            (true, false) => {
                let pidfds = sources.iter().filter_map(Source::pidfd);
                block(sockets.into_iter().chain(pidfds).collect(), until)?;
            }
            (false, false) => block_on_both(arena, [vec![deaths], words].concat(), sockets, until)?,
            (_, true) => arena.block(&[vec![deaths], words].concat(), until)?,
        }
    }
}

/// Blocks until one of the words has changed or one of the sockets has something.
fn block_on_both(
    arena: &Arena,
    words: Vec<(&AtomicU32, u32)>,
    sockets: Vec<PollFd<'_>>,
    until: Deadline,
) -> Result<()> {
    let over = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|e| os("eventfd", e))?;
    let news = AtomicU32::new(0);
    let words: Vec<_> = words.into_iter().chain([(&news, 0)]).collect();
    let ended = PollFd::new(over.as_fd(), PollFlags::POLLIN);
    let mut sockets: Vec<_> = sockets.into_iter().chain([ended]).collect();
    std::thread::scope(|scope| {
        let watch = || {
            // An error ends the wait early, and whoever waits looks again.
            let _ = poll(&mut sockets, PollTimeout::NONE);
            news.store(1, Ordering::SeqCst);
            futex::wake_all(&news);
        };
        std::thread::Builder::new()
            .name("procbox-ready".into())
            .spawn_scoped(scope, watch)
            .map_err(|e| os("thread", e))?;
        let woken = arena.block(&words, until);
        let _ = over.write(1);
        woken
    })
}
