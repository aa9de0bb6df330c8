//! Programs that let go of what they hold. Each is safe code, and each runs as a process of its own, so
//! that one which breaks the memory that it shares is seen to be ended by a signal.

use crate::{until, workers};
use procbox_core::{Context, Error, Lock, Queue, Result};
use std::cell::RefCell;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A program that takes longer than this hangs, and is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first argument of a process that runs one of the programs.
pub(crate) const ARGUMENT: &str = "forgotten";

macro_rules! programs {
    ($($name:ident $body:block)*) => {
        /// The cases: each runs its program, and looks at how that ends.
        pub(crate) const ALL: &[(&str, fn() -> Result<()>)] =
            &[$((stringify!($name), || run(stringify!($name)))),*];

        /// The program of this name.
        pub(crate) fn program(name: &str) -> Option<fn() -> Result<()>> {
            $(fn $name() -> Result<()> $body)*
            lock_another().ok()?;
            match name {
                $(stringify!($name) => Some($name),)*
                _ => None,
            }
        }
    };
}

fn run(name: &str) -> Result<()> {
    let exe = std::env::current_exe().map_err(|e| Error::os("current_exe", e))?;
    let started = Command::new(exe).args([ARGUMENT, name]).spawn();
    let mut child = started.map_err(|e| Error::os("spawn", e))?;
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|e| Error::os("wait", e))? {
            Some(status) => break status,
            None if begin.elapsed() > PATIENCE => {
                let _ = child.kill();
                break child.wait().map_err(|e| Error::os("wait", e))?;
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    assert!(status.success(), "{status}");
    Ok(())
}

fn ctx() -> Result<Context> {
    procbox_native::Native::builder().build()
}

/// A context that was there before the others, so that none of them can have had its memory.
static OTHER: OnceLock<Context> = OnceLock::new();

/// The calling thread's list of held locks is written to and read.
fn lock_another() -> Result<()> {
    let other = ctx()?;
    let lock = OTHER.get_or_init(|| other).lock()?;
    for _ in 0..3 {
        let guard = lock.lock()?;
        assert!(!guard.owner_died());
    }
    Ok(())
}

/// Number of arenas that this process has mapped.
fn arenas() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter(|line| line.contains("procbox-arena")).count()
}

/// A context with a lock that the calling thread holds and has forgotten.
fn held() -> Result<(Context, Lock)> {
    let ctx = ctx()?;
    let lock = ctx.lock()?;
    std::mem::forget(lock.lock()?);
    Ok((ctx, lock))
}

programs! {
    a_forgotten_guard_keeps_its_memory {
        let (a, lock) = held()?;
        drop(lock);
        drop(a);
        lock_another()
    }

    a_lock_that_is_never_released_keeps_its_memory {
        let (a, b) = (ctx()?, ctx()?);
        let lock = a.lock()?;
        let _ = lock.acquire()?;
        drop(a);
        drop(lock);
        drop(b.lock()?.lock()?);
        lock_another()
    }

    locks_are_released_around_one_that_is_gone {
        let (before, after) = (ctx()?.lock()?, ctx()?.lock()?);
        let first = before.lock()?;
        drop(held()?);
        let last = after.lock()?;
        drop(held()?);
        drop(first);
        lock_another()?;
        drop(last);
        lock_another()
    }

    twenty_forgotten_locks_of_twenty_contexts {
        for _ in 0..20 {
            drop(held()?);
            lock_another()?;
        }
        Ok(())
    }

    a_block_is_not_used_again_while_its_lock_is_held {
        let (a, lock) = held()?;
        drop(lock);
        let others = (0..100).map(|_| a.lock()).collect::<Result<Vec<_>>>()?;
        let guards = others.iter().map(Lock::lock).collect::<Result<Vec<_>>>()?;
        drop(a);
        drop(guards);
        drop(others);
        lock_another()
    }

    a_thread_ends_after_its_lock_and_context {
        let thread = std::thread::spawn(|| {
            drop(held()?);
            lock_another()
        });
        assert_eq!(thread.join().ok(), Some(Ok(())));
        lock_another()
    }

    a_thread_drops_lock_and_context_as_its_last_act {
        thread_local! {
            static KEPT: RefCell<Option<(Context, Lock)>> = const { RefCell::new(None) };
        }
        let thread = std::thread::spawn(|| {
            let kept = held()?;
            KEPT.with_borrow_mut(|keeps| *keeps = Some(kept));
            lock_another()
        });
        assert_eq!(thread.join().ok(), Some(Ok(())));
        lock_another()
    }

    another_thread_drops_what_this_one_holds {
        let (a, lock) = held()?;
        let thread = std::thread::spawn(move || drop((lock, a)));
        assert!(thread.join().is_ok());
        lock_another()
    }

    the_memory_goes_when_the_holder_has_ended {
        drop(ctx()?);
        let before = arenas();
        for _ in 0..5 {
            let thread = std::thread::spawn(|| held().map(drop));
            assert_eq!(thread.join().ok(), Some(Ok(())));
            // The thread may still be in the kernel, on its way out.
            until("only one is left", || ctx().is_ok() && arenas() <= before);
        }
        Ok(())
    }

    permits_that_are_never_given_back_break_nothing {
        let a = ctx()?;
        let semaphore = a.semaphore(3)?;
        std::mem::forget(semaphore.permit()?);
        semaphore.acquire()?;
        semaphore.permit()?.forget();
        let waiter = std::thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.acquire()
        });
        semaphore.release()?;
        assert_eq!(waiter.join().ok(), Some(Ok(())));
        drop(semaphore);
        drop(a);
        lock_another()
    }

    an_event_that_others_wait_for_is_let_go_of {
        let a = ctx()?;
        let event = a.event()?;
        let waiters = [(); 3].map(|()| {
            let event = event.clone();
            std::thread::spawn(move || event.wait().and_then(|_| lock_another()))
        });
        drop(a);
        event.set();
        drop(event);
        lock_another()?;
        for waiter in waiters {
            assert_eq!(waiter.join().ok(), Some(Ok(())));
        }
        Ok(())
    }

    a_queue_goes_with_held_locks_in_it {
        let (a, lock) = held()?;
        let queue = a.queue::<Lock>(4)?;
        queue.put(&lock)?;
        queue.put(&lock)?;
        drop(lock);
        lock_another()?;
        drop(queue);
        drop(a);
        lock_another()
    }

    a_queue_goes_while_others_are_blocked_on_it {
        let a = ctx()?;
        let queue = a.queue::<u8>(1)?;
        let getter = std::thread::spawn({
            let queue = queue.clone();
            move || queue.get().and_then(|_| lock_another())
        });
        drop(a);
        queue.put(&1)?;
        drop(queue);
        assert_eq!(getter.join().ok(), Some(Ok(())));
        lock_another()
    }

    a_pipe_goes_with_a_held_lock_in_it {
        let (a, lock) = held()?;
        let (here, there) = a.pipe::<Lock>()?;
        here.send(&lock)?;
        drop(lock);
        drop(here);
        drop(there);
        drop(a);
        lock_another()
    }

    a_held_lock_that_was_dropped_comes_back_and_is_released {
        let (a, lock) = held()?;
        let post = a.queue::<Lock>(1)?;
        post.put(&lock)?;
        drop(lock);
        let lock = post.get()?;
        assert_eq!(lock.try_acquire(), Err(Error::AlreadyHeld));
        lock.release()?;
        assert_eq!(lock.release(), Err(Error::NotHolder));
        drop(lock.lock()?);
        drop((a, post, lock));
        lock_another()
    }

    a_holder_is_found_out_behind_a_lock_that_it_dropped {
        let a = ctx()?;
        let (held, never) = (a.event()?, a.event()?);
        let shared = a.lock()?;
        let args = (&shared, &held, &never);
        let p = a.process(workers::drops_a_held_lock::worker()).args(args).start()?;
        held.wait()?;
        assert_eq!(shared.try_lock().err(), Some(Error::TimedOut));
        p.kill()?;
        assert!(shared.lock()?.owner_died());
        p.join().map(drop)
    }

    a_process_exits_while_its_threads_hold_what_is_gone {
        let ready = std::sync::Arc::new(std::sync::Barrier::new(5));
        for _ in 0..4 {
            let ready = ready.clone();
            std::thread::spawn(move || {
                let held = held().map(drop);
                ready.wait();
                std::thread::park();
                held
            });
        }
        ready.wait();
        lock_another()
    }

    a_foreign_message_leaves_nothing_locked {
        let (a, b) = (ctx()?, ctx()?);
        let lock = a.lock()?;
        let queue: Queue<Lock> = b.queue(1)?;
        let guard = lock.lock()?;
        assert_eq!(queue.put(&lock), Err(Error::ForeignHandle));
        std::mem::forget(guard);
        drop((lock, a));
        queue.close();
        lock_another()
    }
}
