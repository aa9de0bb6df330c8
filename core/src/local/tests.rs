//! What is particular to threads; the contract is held by the conformance suite. These run under Miri.

use super::*;
use crate::raw::Side;
use crate::runner::end_of;
use crate::{BoundedSemaphore, Error, Event, Lock, Process, Queue, RwLock, Semaphore, Wait, ready};
use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};

fn context() -> Context {
    let worker = LocalWorker::new;
    let workers = [
        worker("double", |call, result| {
            let (n,): (u64,) = call.arguments()?;
            end_of(2 * n, result)
        }),
        worker("blocks", |call, _| {
            let (started, forever): (Event, Event) = call.arguments()?;
            started.set();
            told(forever.wait().map(drop))
        }),
        worker("exits_with", |call, _| {
            let (lock, permits): (Lock, Semaphore) = call.arguments()?;
            let _guards = (told(lock.lock())?, told(permits.permit())?);
            exit(3);
            Ok(())
        }),
        worker("exits_beside", |call, _| {
            let (lock, bounded, permits): (RwLock, BoundedSemaphore, Semaphore) =
                call.arguments()?;
            let _guards = (told(lock.read())?, told(bounded.permit())?);
            told(permits.acquire())?;
            let _by_hand = Releases(&permits);
            exit(3);
            Ok(())
        }),
        worker("panics_with", |call, _| {
            let (lock, permits): (Lock, Semaphore) = call.arguments()?;
            told(lock.acquire().map(drop))?;
            told(permits.acquire())?;
            panic!("as it should")
        }),
        worker("says_who", |_, result| end_of(current().map(|ctx| ctx.current_process()), result)),
        worker("starts_double", |call, result| {
            let (n,): (u64,) = call.arguments()?;
            let ctx = current().ok_or("no context")?;
            end_of(told(ctx.spawn::<(u64,), u64>("double", (n,)).and_then(|it| it.join()))?, result)
        }),
        worker("answers", |call, _| {
            let (started, never, out): (Event, Event, Queue<bool>) = call.arguments()?;
            answer_interrupts();
            started.set();
            let ended = never.wait();
            clear_interrupt();
            told(out.put(&(ended == Err(Error::Interrupted))))
        }),
    ];
    Context::local(workers).unwrap()
}

/// Gives a permit back when it is dropped, and takes one: of a worker that has exited neither is heard.
struct Releases<'a>(&'a Semaphore);

impl Drop for Releases<'_> {
    fn drop(&mut self) {
        let all = [self.0.release(), self.0.acquire(), self.0.try_acquire()];
        assert_eq!(all, [const { Err(Error::Interrupted) }; 3]);
    }
}

fn told<T>(result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|e| e.to_string())
}

fn blocked(ctx: &Context) -> Process {
    let (started, forever) = (ctx.event().unwrap(), ctx.event().unwrap());
    let p = ctx.process("blocks").args((&started, &forever)).daemon(true).start().unwrap();
    started.wait().unwrap();
    p
}

#[test]
fn a_thread_is_not_ended_from_outside() {
    let ctx = context();
    let p = blocked(&ctx);
    for ended in [p.kill(), p.terminate(), p.kill_tree(), p.interrupt(), p.usage().map(drop)] {
        assert!(matches!(ended, Err(Error::Unsupported(_))), "{ended:?}");
    }
    let limited = ctx.process("double").args((1u64,)).timeout(std::time::Duration::from_secs(9));
    assert!(matches!(limited.start(), Err(Error::Unsupported(_))));
    assert!(matches!(ctx.main(["a"]).start(), Err(Error::Unsupported(_))));
}

#[test]
fn a_daemon_that_waits_ends_with_its_context() {
    let ctx = context();
    let p = blocked(&ctx).raw().unwrap();
    drop(ctx);
    assert_eq!(p.join(Wait::Forever).unwrap().exitcode(), -9);
}

#[test]
fn whatever_ends_a_worker_gives_back_what_it_holds_and_tells() {
    let ctx = context();
    let (lock, permits) = (ctx.lock().unwrap(), ctx.semaphore(1).unwrap());
    for (worker, code) in [("exits_with", 3), ("panics_with", 101)] {
        let p = ctx.process(worker).args((&lock, &permits)).start().unwrap();
        assert_eq!(p.join().unwrap().exitcode(), code);
        assert_eq!(permits.available(), 1);
        assert!(lock.lock().unwrap().owner_died());
        assert!(!lock.lock().unwrap().owner_died());
    }
}

#[test]
fn who_exits_gives_back_once_though_destructors_run() {
    let ctx = context();
    let (lock, bounded) = (ctx.rwlock().unwrap(), ctx.bounded_semaphore(2).unwrap());
    let permits = ctx.semaphore(1).unwrap();
    let (reading, permit) = (lock.read().unwrap(), bounded.permit().unwrap());
    let p = ctx.process("exits_beside").args((&lock, &bounded, &permits)).start().unwrap();
    assert_eq!(p.join().unwrap().exitcode(), 3);
    assert_eq!((bounded.available(), permits.available()), (Ok(1), 1));
    assert_eq!(lock.try_write().map(drop), Err(Error::TimedOut), "somebody reads");
    drop((reading, permit));
    assert!(!lock.try_write().unwrap().owner_died());
    assert_eq!(bounded.available(), Ok(2));
}

#[test]
fn a_worker_knows_who_it_is_and_has_a_context() {
    let ctx = context();
    let me = ctx.current_process();
    let them = ctx.spawn::<(), Option<Identity>>("says_who", ()).unwrap().join().unwrap().unwrap();
    assert_eq!((them.authkey, them.parent), (me.authkey, Some((me.pid, me.name))));
    assert_ne!(them.pid, me.pid);
    assert_eq!(ctx.spawn::<(u64,), u64>("starts_double", (4u64,)).unwrap().join(), Ok(8));
}

#[test]
fn an_interrupt_ends_the_wait_of_a_worker_that_answers() {
    let ctx = context();
    let (started, never, out) = (ctx.event().unwrap(), ctx.event().unwrap(), ctx.queue(1).unwrap());
    let p = ctx.process("answers").args((&started, &never, &out)).start().unwrap();
    started.wait().unwrap();
    p.interrupt().unwrap();
    assert_eq!((out.get(), p.join().map(|status| status.exitcode())), (Ok(true), Ok(0)));
}

#[test]
fn an_interrupt_ends_the_wait_of_a_thread_that_answers_until_it_is_cleared() {
    let ctx = context();
    let q = ctx.queue::<u32>(1).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            assert!(!answer_interrupts());
            let first = q.get();
            interrupt(false);
            (first, q.get_timeout(std::time::Duration::from_millis(1)))
        });
        interrupt(true);
        assert_eq!(waits.join().unwrap(), (Err(Error::Interrupted), Err(Error::Empty)));
    });
}

#[test]
fn what_another_family_has_made_is_refused() {
    let (ours, theirs) = (context(), context());
    let q = ours.queue::<Lock>(1).unwrap();
    assert_eq!(q.put(&theirs.lock().unwrap()), Err(Error::ForeignHandle));
    let foreign = theirs.queue::<u32>(1).unwrap().waitable();
    assert_eq!(ready(&ours, &[foreign], Wait::Never), Err(Error::ForeignHandle));
    let started = ours.process("blocks").args((&theirs.event().unwrap(), &ours.event().unwrap()));
    assert_eq!(started.start().map(drop), Err(Error::ForeignHandle));
}

#[test]
fn a_pool_whose_workers_wait_is_dropped() {
    let ctx = context();
    let never = ctx.event().unwrap();
    let pool = ctx.pool::<(Event, Event), ()>("blocks").workers(2).build().unwrap();
    let started = ctx.event().unwrap();
    let result = pool.apply_async((started.clone(), never)).unwrap();
    started.wait().unwrap();
    drop(pool);
    assert!(result.get().is_err());
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Count>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_watch_is_woken_once_by_what_it_is_for_and_not_when_it_is_dropped() {
    let ctx = context();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let times = || count.0.load(Ordering::SeqCst);
    let raw = ctx.raw();
    let (raw_queue, raw_event) = (raw.queue(Default::default()).unwrap(), raw.event().unwrap());
    let _places = [
        raw_queue.watch(Side::Items, &waker).unwrap().unwrap(),
        raw_event.watch(&waker).unwrap().unwrap(),
    ];
    raw_queue.put(b"1", &[], Wait::Never).unwrap();
    raw_queue.put(b"2", &[], Wait::Never).unwrap();
    assert_eq!(times(), 1);
    raw_event.set();
    assert_eq!(times(), 2);
    drop(raw_event.watch(&waker).unwrap());
    raw_event.set();
    assert_eq!(times(), 2);
}

#[test]
fn the_ring_of_a_bell_is_not_missed_by_who_watches_it() {
    let ctx = context();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let times = || count.0.load(Ordering::SeqCst);
    let ledger = ctx.raw().ledger().unwrap();
    let ring = |bell| ledger.change(None, &mut |page| page.ring(bell)).unwrap();
    let seen = ring(0);
    let watch = ledger.watch(0, seen, &waker).unwrap().unwrap();
    ring(1);
    assert_eq!(times(), 0, "that is another bell");
    ring(0);
    assert_eq!(times(), 1);
    drop(watch);
    // It was rung before the watch.
    let _watch = ledger.watch(0, seen, &waker).unwrap().unwrap();
    assert_eq!(times(), 2);
}

#[test]
fn a_time_for_one_task_is_refused_as_is_that_of_a_pool() {
    let ctx = context();
    let second = std::time::Duration::from_secs(1);
    let timed = ctx.pool::<(u64,), u64>("double").task_timeout(second).build();
    assert!(matches!(timed, Err(Error::Unsupported(_))));
    let pool = ctx.pool::<(u64,), u64>("double").workers(1).build().unwrap();
    let asks = pool.with(crate::TaskOptions::new().timeout(second));
    assert!(matches!(asks.apply((1u64,)), Err(Error::Unsupported(_))));
    assert!(matches!(asks.map([1u64]), Err(Error::Unsupported(_))));
    assert_eq!(pool.apply((1u64,)), Ok(2));
}

/// No wake is lost between threads that hand one permit on.
#[test]
fn a_permit_is_handed_on_by_many() {
    let ctx = context();
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    let ring: Vec<_> = (0..3).map(|_| ctx.semaphore(0).unwrap()).collect();
    ring[0].release().unwrap();
    std::thread::scope(|scope| {
        for at in 0..3 {
            let (mine, next) = (&ring[at], &ring[(at + 1) % 3]);
            scope.spawn(move || {
                for _ in 0..rounds {
                    mine.permit().unwrap().forget();
                    next.release().unwrap();
                }
            });
        }
    });
    assert_eq!(ring[0].available(), 1);
}
