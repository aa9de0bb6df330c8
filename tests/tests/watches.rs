//! Watches of raw primitives, on both backends: a waker is woken by what would wake a thread, and what
//! was waited for is there then. Who goes without having tried hands its wake on.

use anyhow::{Context as _, ensure};
use procbox::backend::{Message, Page, Side, Watch};
use procbox::{Address, Bounds, Context, Error, Result, Wait};
use procbox_tests::{Backend, watched};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Counts how often it was woken, and can be waited for. The watchdog sees to an end.
#[derive(Default)]
struct Bell {
    rung: Mutex<usize>,
    changed: Condvar,
}

impl Bell {
    fn new() -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell::default());
        (bell.clone(), bell.into())
    }

    fn times(&self) -> usize {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, times: usize) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while *rung < times {
            rung = self.changed.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }
}

/// What a try came to, if it did not run out.
fn tried<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Error::Empty | Error::Full | Error::TimedOut) => Ok(None),
        Err(e) => Err(e),
    }
}

/// As a future waits: tries, watches, tries once more, is woken.
fn wait_for<T>(
    watch: impl Fn(&Waker) -> Result<Option<Watch>>,
    mut attempt: impl FnMut() -> Result<T>,
    about: impl Fn(),
) -> anyhow::Result<T> {
    let (bell, waker) = Bell::new();
    let mut last: Option<Watch> = None;
    for times in 1.. {
        last.iter_mut().for_each(Watch::about_to_try);
        let found = tried(attempt())?;
        last.take().into_iter().for_each(|watch| watch.tried(found.is_some()));
        if let Some(found) = found {
            return Ok(found);
        }
        last = Some(watch(&waker)?.context("no watch")?);
        if times == 1 {
            about();
        }
        if let Some(found) = tried(attempt())? {
            // Dropped: a wake that has come since may be for something else.
            return Ok(found);
        }
        bell.wait(times);
    }
    unreachable!("it is woken less often")
}

/// Does something on another thread, when who waits is about to.
fn meanwhile<T>(
    act: impl FnOnce() -> T + Send,
    wait: impl FnOnce(&dyn Fn()) -> anyhow::Result<()>,
) -> anyhow::Result<()>
where
    T: Send,
{
    let gate = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        let acting = scope.spawn(|| {
            let mut open = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
            while !*open {
                open = gate.1.wait(open).unwrap_or_else(PoisonError::into_inner);
            }
            drop(open);
            act()
        });
        let open = || {
            *gate.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            gate.1.notify_all();
        };
        let waited = wait(&open);
        open();
        let _ = acting.join();
        waited
    })
}

fn bounds(messages: usize) -> Bounds {
    Bounds::DEFAULT.messages(messages)
}

fn every_primitive_wakes(ctx: &Context) -> anyhow::Result<()> {
    let raw = ctx.raw();
    let message = || Message::default();

    let queue = raw.queue(bounds(1))?;
    meanwhile(
        || queue.put(b"one", &[], Wait::Forever),
        |go| {
            let mut into = message();
            wait_for(|w| queue.watch(Side::Items, w), || queue.get(&mut into, Wait::Never), go)?;
            ensure!(into.bytes == b"one");
            Ok(())
        },
    )?;
    queue.put(b"full", &[], Wait::Never)?;
    meanwhile(
        || queue.get(&mut message(), Wait::Forever),
        |go| {
            let put = || queue.put(b"two", &[], Wait::Never);
            wait_for(|w| queue.watch(Side::Room, w), put, go)
        },
    )?;
    queue.get(&mut message(), Wait::Never)?;
    meanwhile(
        || queue.close(),
        |go| {
            let mut into = message();
            let get = || queue.get(&mut into, Wait::Never);
            let closed = wait_for(|w| queue.watch(Side::Items, w), get, go);
            ensure!(closed.is_err_and(|e| e.downcast_ref() == Some(&Error::Closed)));
            Ok(())
        },
    )?;

    let (a, b) = raw.pipe(true)?;
    meanwhile(
        || b.send(b"one", &[], Wait::Forever),
        |go| {
            let mut into = message();
            wait_for(|w| a.watch(Side::Items, w), || a.recv(&mut into, Wait::Never), go)?;
            ensure!(into.bytes == b"one");
            Ok(())
        },
    )?;
    let large = vec![0; 32 << 20];
    while tried(a.send(&large, &[], Wait::Never))?.is_some() {}
    meanwhile(
        || b.recv(&mut message(), Wait::Forever),
        |go| wait_for(|w| a.watch(Side::Room, w), || a.send(&large, &[], Wait::Never), go),
    )?;
    while tried(b.recv(&mut message(), Wait::Never))?.is_some() {}
    meanwhile(
        move || drop(b),
        |go| {
            let mut into = message();
            let recv = || a.recv(&mut into, Wait::Never);
            ensure!(wait_for(|w| a.watch(Side::Items, w), recv, go).is_err());
            Ok(())
        },
    )?;

    let semaphore = raw.semaphore(0)?;
    meanwhile(
        || semaphore.release(),
        |go| wait_for(|w| semaphore.watch(w), || semaphore.acquire(Wait::Never), go),
    )?;

    let event = raw.event()?;
    let before = event.times_set();
    ensure!(before.is_some());
    meanwhile(|| event.set(), |go| wait_for(|w| event.watch(w), || event.wait(Wait::Never), go))?;
    event.clear();
    ensure!(event.times_set() != before);

    let ledger = raw.ledger()?;
    let seen = ledger.change(Some(Wait::Never), &mut |_: &mut Page| {})?;
    let (bell, waker) = Bell::new();
    let watch = ledger.watch(1, seen, &waker)?.context("no watch")?;
    ledger.change(None, &mut |page| page.ring(1))?;
    bell.wait(1);
    drop(watch);
    let (late, waker) = Bell::new();
    let _watch = ledger.watch(1, seen, &waker)?.context("no watch")?;
    late.wait(1);
    Ok(())
}

fn a_lock_wakes(ctx: &Context) -> anyhow::Result<()> {
    let lock = ctx.raw().lock()?;
    for _ in 0..100 {
        let held = (Mutex::new(false), Condvar::new());
        let _ = std::thread::scope(|scope| {
            scope.spawn(|| -> Result<()> {
                let _ = lock.acquire(Wait::Forever)?;
                *held.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                held.1.notify_all();
                let mut freed = held.0.lock().unwrap_or_else(PoisonError::into_inner);
                while *freed {
                    freed = held.1.wait(freed).unwrap_or_else(PoisonError::into_inner);
                }
                lock.release()
            });
            let mut is_held = held.0.lock().unwrap_or_else(PoisonError::into_inner);
            while !*is_held {
                is_held = held.1.wait(is_held).unwrap_or_else(PoisonError::into_inner);
            }
            drop(is_held);
            let go = || {
                *held.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
                held.1.notify_all();
            };
            wait_for(|w| lock.watch(w), || lock.acquire(Wait::Never), go)
        })?;
        lock.release()?;
    }
    Ok(())
}

/// A thread that ends with the lock wakes a watcher as it would a thread.
fn a_lock_whose_holder_ended_wakes(ctx: &Context) -> anyhow::Result<()> {
    let lock = ctx.raw().lock()?;
    let (held, over) = (ctx.event()?, ctx.event()?);
    std::thread::scope(|scope| {
        scope.spawn(|| -> Result<()> {
            let _ = lock.acquire(Wait::Forever)?;
            held.set();
            over.wait()?;
            Ok(())
        });
        held.wait()?;
        let acquired = wait_for(|w| lock.watch(w), || lock.acquire(Wait::Never), || over.set())?;
        ensure!(acquired.owner_died);
        Ok(())
    })?;
    Ok(lock.release()?)
}

fn a_process_wakes(ctx: &Context) -> anyhow::Result<()> {
    let (started, forever) = (ctx.event()?, ctx.event()?);
    let process = ctx.process("blocks").args((&started, &forever)).daemon(true).start()?;
    started.wait()?;
    let raw = process.raw()?;
    let go = || drop(raw.kill());
    let status = wait_for(|w| raw.watch(w), || raw.join(Wait::Never), go)?;
    ensure!(status.exitcode() == -9);
    Ok(())
}

/// Wakers are woken by a thread that waits for ends, not by one that asks for the status: it may hold a lock
/// that who is woken wants.
fn who_asks_for_a_status_wakes_nobody(ctx: &Context) -> anyhow::Result<()> {
    struct On(std::sync::mpsc::Sender<std::thread::ThreadId>);
    impl Wake for On {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(std::thread::current().id());
        }
    }
    for _ in 0..20 {
        let (started, forever) = (ctx.event()?, ctx.event()?);
        let process = ctx.process("blocks").args((&started, &forever)).daemon(true).start()?;
        started.wait()?;
        let raw = process.raw()?;
        let (woken, wakes) = std::sync::mpsc::channel();
        let _watch = raw.watch(&Arc::new(On(woken)).into())?.context("no watch")?;
        raw.kill()?;
        while raw.status().is_none() {
            std::thread::yield_now();
        }
        ensure!(wakes.recv()? != std::thread::current().id());
    }
    Ok(())
}

fn connections_wake(ctx: &Context) -> anyhow::Result<()> {
    let raw = ctx.raw();
    let name = format!("watches-{}-{:?}", std::process::id(), ctx.backend());
    let listener = raw.listen(&Address::from(&name[..]))?;
    let client: Mutex<Option<Arc<dyn procbox::backend::RawConnection>>> = Mutex::new(None);
    let connect = || {
        let made = raw.connect(listener.address(), Wait::Forever);
        *client.lock().unwrap_or_else(PoisonError::into_inner) = made.ok();
    };
    let server = wait_for(|w| listener.watch(w), || listener.accept(Wait::Never), connect)?;
    let client = client.into_inner().unwrap_or_else(PoisonError::into_inner).context("none")?;
    for size in [1, 1 << 20] {
        let bytes = vec![7; size];
        meanwhile(
            || client.send(&bytes, Wait::Forever),
            |go| {
                let mut into = Vec::new();
                let recv = || server.recv(&mut into, 1 << 22, Wait::Never);
                wait_for(|w| server.watch(w), recv, go)?;
                ensure!(into.len() == size);
                Ok(())
            },
        )?;
    }
    let mut into = Vec::new();
    let recv = || server.recv(&mut into, 10, Wait::Never);
    let client = Mutex::new(Some(client));
    let gone = || drop(client.lock().unwrap_or_else(PoisonError::into_inner).take());
    let end = wait_for(|w| server.watch(w), recv, gone);
    ensure!(end.is_err_and(|e| e.downcast_ref() == Some(&Error::Closed)));
    Ok(())
}

/// Many wait for one queue; each message is for one, and who was woken and leaves hands it on.
fn a_wake_is_handed_on(ctx: &Context) -> anyhow::Result<()> {
    const MANY: usize = 100;
    let queue = ctx.raw().queue(bounds(MANY))?;
    let (bell, waker) = Bell::new();
    let watches: Vec<_> =
        (0..MANY).map(|_| queue.watch(Side::Items, &waker)).collect::<Result<_>>()?;
    queue.put(b"for one", &[], Wait::Never)?;
    bell.wait(1);
    // The first goes without having tried; so does the next, and all the others.
    for (gone, watch) in watches.into_iter().enumerate() {
        bell.wait(gone + 1);
        ensure!(bell.times() == gone + 1, "more were woken than one");
        drop(watch);
    }
    // Nobody is left, and nothing lost.
    let mut into = Message::default();
    Ok(queue.get(&mut into, Wait::Never)?)
}

/// As many threads as there are messages, each waiting as a future does: all get one.
fn none_is_lost(ctx: &Context) -> anyhow::Result<()> {
    const EACH: usize = 2000;
    let queue = ctx.raw().queue(bounds(3))?;
    let got = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let put = || queue.put(b"message", &[], Wait::Never);
                    wait_for(|w| queue.watch(Side::Room, w), put, || ())
                        .map_err(|e| e.to_string())?;
                }
                Ok::<(), String>(())
            });
            scope.spawn(|| {
                for _ in 0..EACH {
                    let mut into = Message::default();
                    let get = || queue.get(&mut into, Wait::Never);
                    wait_for(|w| queue.watch(Side::Items, w), get, || ())
                        .map_err(|e| e.to_string())?;
                    got.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), String>(())
            });
        }
    });
    ensure!(got.load(Ordering::Relaxed) == 3 * EACH);
    Ok(())
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod native {
            $(#[test]
            fn $name() {
                super::watched(super::Backend::Native, super::$name);
            })*
        }
        mod sandbox {
            $(#[test]
            fn $name() {
                super::watched(super::Backend::Sandbox, super::$name);
            })*
        }
    };
}

on_both! {
    every_primitive_wakes
    a_lock_wakes
    a_lock_whose_holder_ended_wakes
    a_process_wakes
    who_asks_for_a_status_wakes_nobody
    connections_wake
    a_wake_is_handed_on
    none_is_lost
}
