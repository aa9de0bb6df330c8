//! Waiting for several things at once: one `futex_waitv` over their words.

use crate::arena::Arena;
use crate::pipe::NativePipe;
use crate::process::NativeProcess;
use crate::queue::NativeQueue;
use crate::ring::Ring;
use crate::sync::futex::MOST_WORDS;
use procbox_core::{Error, RawProcess, Result, Wait, Waitable};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

enum Source<'a> {
    Ring(Ring<'a>),
    Process(&'a NativeProcess),
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
        Waitable::Process(raw) => (&**raw as &dyn Any).downcast_ref().map(Source::Process),
        _ => None,
    };
    source.ok_or(Error::ForeignHandle)
}

impl Source<'_> {
    fn is_ready(&self) -> bool {
        match self {
            Source::Ring(ring) => ring.is_ready(),
            Source::Process(process) => process.status().is_some(),
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
    if those.len() > MOST_WORDS {
        return Err(Error::Invalid(format!("one can wait for at most {MOST_WORDS} things")));
    }
    let sources = those.iter().map(|it| source(arena, it)).collect::<Result<Vec<_>>>()?;
    let until = wait.deadline();
    loop {
        let mut words = vec![(deaths, deaths.load(Ordering::SeqCst))];
        for source in &sources {
            if let Source::Ring(ring) = source {
                words.push(ring.want_items());
            }
        }
        let due = |(index, source): (usize, &Source<'_>)| source.is_ready().then_some(index);
        let due: Vec<usize> = sources.iter().enumerate().filter_map(due).collect();
        if !due.is_empty() {
            return Ok(due);
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        arena.block(&words, until)?;
    }
}
