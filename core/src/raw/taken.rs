//! Permits of a semaphore by the threads of this process that have taken them. A thread that ends gives
//! back what it has.
//!
//! The first thread that takes one is the *owner* of the account: it alone writes its `count`, so that its
//! taking and giving back cost no atomic exchange. What other threads give back of its permits they
//! count in `given`. All other threads have a list under a lock, which is held too by whoever gives back in
//! another's stead, and by a thread that ends: after that nobody gives back in its stead.

use super::RawSemaphore;
use crate::sync::lock;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The number of a thread that has none yet; a permit of it is the process's.
const NOBODY: u64 = 0;
/// The owner of an account that has none.
const NONE: u64 = u64::MAX;

/// Accounts of a thread from which on those of semaphores that are gone are dropped when there is one more.
const MANY: usize = 16;

/// Permits of one semaphore that the threads of this process have: a backend keeps one for each semaphore
/// ([`RawSemaphore::taken`]), and [`crate::Semaphore`] keeps account in it.
///
/// ```
/// use procbox_core::raw::Taken;
/// let taken = Taken::new(|| println!("one comes back"));
/// println!("{taken:?}");
/// ```
pub struct Taken {
    /// Gives one permit back.
    release: Box<dyn Fn() + Send + Sync>,
    owner: AtomicU64,
    /// Permits that the owner took, less those that it gave back itself.
    count: AtomicUsize,
    /// Those of them that other threads gave back.
    given: AtomicUsize,
    /// By thread: the permits of those that are not the owner.
    others: Mutex<Vec<(u64, usize)>>,
    /// The semaphore, if a handle of it was dropped while there were permits.
    kept: Mutex<Option<Arc<dyn RawSemaphore>>>,
    is_kept: AtomicBool,
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Taken({})", self.outstanding())
    }
}

/// The accounts that a thread is in.
#[derive(Default)]
struct Mine(RefCell<Vec<Weak<Taken>>>);

thread_local! {
    /// The calling thread's number.
    static ME: Cell<u64> = const { Cell::new(NOBODY) };
    static MINE: Mine = const { Mine(RefCell::new(Vec::new())) };
}

impl Mine {
    fn end(&self) {
        let mine = std::mem::take(&mut *self.0.borrow_mut());
        mine.iter().filter_map(Weak::upgrade).for_each(|taken| taken.end(ME.get()));
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Gives back what the calling thread has, as at its end, which is near: for a backend whose processes are
/// threads.
pub(crate) fn end_of_thread() {
    let _ = MINE.try_with(Mine::end);
}

impl Taken {
    /// An account in which nobody has any. `release` gives one permit back, if there is still
    /// something to give it back to.
    ///
    /// ```
    /// # use procbox_core::raw::Taken;
    /// let taken = Taken::new(|| ());
    /// assert_eq!(format!("{taken:?}"), "Taken(0)");
    /// ```
    pub fn new(release: impl Fn() + Send + Sync + 'static) -> Arc<Taken> {
        Arc::new(Taken {
            release: Box::new(release),
            owner: AtomicU64::new(NONE),
            count: AtomicUsize::new(0),
            given: AtomicUsize::new(0),
            others: Mutex::default(),
            kept: Mutex::new(None),
            is_kept: AtomicBool::new(false),
        })
    }

    /// Notes a permit that the calling thread has taken; whose it is.
    #[inline]
    pub(crate) fn took(self: &Arc<Taken>) -> u64 {
        let me = ME.get();
        if self.owner.load(Ordering::Relaxed) != me {
            return self.took_as_another();
        }
        // Two that gave back the same one may have counted one too many.
        let count = self.count.load(Ordering::Relaxed).max(self.given.load(Ordering::Relaxed));
        self.count.store(count + 1, Ordering::Relaxed);
        me
    }

    #[cold]
    fn took_as_another(self: &Arc<Taken>) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(NOBODY + 1);
        // In the last moments of a thread there is no list: what it takes then, it gives back itself.
        let is_listed = MINE.try_with(|_| ()).is_ok();
        if !is_listed {
            return NOBODY;
        }
        if ME.get() == NOBODY {
            ME.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        let me = ME.get();
        let mut others = lock(&self.others);
        if let Some((_, count)) = others.iter_mut().find(|(thread, _)| *thread == me) {
            *count += 1;
            return me;
        }
        let owner = self.owner.load(Ordering::Relaxed);
        if owner == NONE {
            self.count.store(1, Ordering::Relaxed);
            self.given.store(0, Ordering::Relaxed);
            self.owner.store(me, Ordering::Relaxed);
        } else {
            others.push((me, 1));
        }
        drop(others);
        let _ = MINE.try_with(|mine| {
            let mut mine = mine.0.borrow_mut();
            if mine.len() >= MANY && mine.len().is_power_of_two() {
                mine.retain(|taken| taken.strong_count() > 0);
            }
            mine.push(Arc::downgrade(self));
        });
        me
    }

    /// Permits of the owner's.
    #[inline]
    fn of_owner(&self) -> usize {
        let count = self.count.load(Ordering::Relaxed);
        count.saturating_sub(self.given.load(Ordering::Relaxed))
    }

    /// Strikes out a permit that is about to be given back: one of the calling thread's, or else of
    /// another's.
    #[inline]
    pub(crate) fn gives(&self) {
        let me = ME.get();
        if self.owner.load(Ordering::Relaxed) == me && self.of_owner() > 0 {
            self.owner_gives();
        } else {
            self.another_gives(me);
        }
    }

    #[inline]
    fn owner_gives(&self) {
        self.count.store(self.count.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        if self.is_kept.load(Ordering::Relaxed) {
            self.let_go();
        }
    }

    #[cold]
    fn another_gives(&self, me: u64) {
        let mut others = lock(&self.others);
        let own = others.iter_mut().find(|(thread, count)| *thread == me && *count > 0);
        if let Some((_, count)) = own {
            *count -= 1;
        } else if self.of_owner() > 0 {
            self.given.fetch_add(1, Ordering::Relaxed);
        } else if let Some((_, count)) = others.iter_mut().find(|(_, count)| *count > 0) {
            *count -= 1;
        }
        drop(others);
        self.let_go();
    }

    /// Strikes out a permit of this thread's that is about to be given back; `false` if it has come back
    /// already, because that thread has ended.
    #[inline]
    pub(crate) fn gives_of(&self, thread: u64) -> bool {
        if thread == ME.get() && self.owner.load(Ordering::Relaxed) == thread {
            if self.of_owner() > 0 {
                self.owner_gives();
            }
            return true;
        }
        thread == NOBODY || self.gives_of_another(thread)
    }

    #[cold]
    fn gives_of_another(&self, thread: u64) -> bool {
        let mut others = lock(&self.others);
        let is_there = if self.owner.load(Ordering::Relaxed) == thread {
            let some = self.of_owner() > 0;
            self.given.fetch_add(some.into(), Ordering::Relaxed);
            true
        } else if let Some((_, count)) = others.iter_mut().find(|(other, _)| *other == thread) {
            *count = count.saturating_sub(1);
            true
        } else {
            false
        };
        drop(others);
        self.let_go();
        is_there
    }

    /// The thread ends: what it has comes back.
    fn end(&self, thread: u64) {
        let mut others = lock(&self.others);
        let left = if self.owner.load(Ordering::Relaxed) == thread {
            let left = self.of_owner();
            self.count.store(0, Ordering::Relaxed);
            self.given.store(0, Ordering::Relaxed);
            self.owner.store(NONE, Ordering::Relaxed);
            left
        } else {
            let at = others.iter().position(|(other, _)| *other == thread);
            at.map_or(0, |at| others.swap_remove(at).1)
        };
        drop(others);
        // By the handle that is kept, if there is no other.
        (0..left).for_each(|_| (self.release)());
        self.let_go();
    }

    fn outstanding(&self) -> usize {
        let others = lock(&self.others);
        self.of_owner() + others.iter().map(|(_, count)| count).sum::<usize>()
    }

    /// A handle of the semaphore goes. While there are permits it is kept.
    pub(crate) fn handle_goes(&self, semaphore: &Arc<dyn RawSemaphore>) {
        if self.outstanding() > 0 {
            drop(self.keep(Some(semaphore.clone())));
            self.let_go();
        }
    }

    /// If nothing is to be given back the semaphore may go.
    fn let_go(&self) {
        if self.is_kept.load(Ordering::Relaxed) && self.outstanding() == 0 {
            drop(self.keep(None));
        }
    }

    fn keep(&self, semaphore: Option<Arc<dyn RawSemaphore>>) -> Option<Arc<dyn RawSemaphore>> {
        let mut kept = lock(&self.kept);
        self.is_kept.store(semaphore.is_some(), Ordering::Relaxed);
        std::mem::replace(&mut *kept, semaphore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Result, Semaphore, Wait};
    use std::sync::OnceLock;
    use std::thread;

    struct Counted(AtomicUsize, OnceLock<Arc<Taken>>);

    impl RawSemaphore for Counted {
        fn acquire(&self, _: Wait) -> Result<()> {
            self.0.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
        fn release(&self) -> Result<()> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        fn forget(&self) {}
        fn taken(self: Arc<Self>) -> Option<Arc<Taken>> {
            let weak = Arc::downgrade(&self);
            let taken = || {
                Taken::new(move || weak.upgrade().into_iter().for_each(|it| it.release().unwrap()))
            };
            Some(self.1.get_or_init(taken).clone())
        }
        fn available(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn new() -> (Semaphore, Weak<Counted>) {
        let raw = Arc::new(Counted(AtomicUsize::new(10), OnceLock::new()));
        let weak = Arc::downgrade(&raw);
        (Semaphore::from_raw(raw), weak)
    }

    #[test]
    fn whatever_threads_take_and_give_all_is_back_when_they_have_ended() {
        let (semaphore, _) = new();
        for round in 0..200usize {
            let threads = [0, 1, 2].map(|thread| {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    // More semaphores than a thread's list keeps.
                    let others: Vec<_> = (0..round % 40).map(|_| new().0).collect();
                    others.iter().for_each(|other| drop(other.permit()));
                    for step in 0..(round + thread) % 3 {
                        std::mem::forget(semaphore.permit());
                        if step % 2 == 0 {
                            semaphore.acquire().unwrap();
                            drop(semaphore.permit());
                            semaphore.release().unwrap();
                        }
                    }
                })
            });
            // Not by a scope, which waits for the work alone.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(semaphore.available(), 10, "round {round}");
        }
    }

    #[test]
    fn a_semaphore_is_kept_for_as_long_as_a_thread_has_permits_of_it() {
        let (semaphore, raw) = new();
        let other = semaphore.clone();
        semaphore.acquire().unwrap();
        semaphore.acquire().unwrap();
        drop(semaphore);
        thread::spawn(move || other.release().unwrap()).join().unwrap();
        let kept = raw.upgrade().map(|raw| Semaphore::from_raw(raw));
        kept.unwrap().release().unwrap();
        assert!(raw.upgrade().is_none());
        // One that is let go of with nothing taken is gone at once.
        let (semaphore, raw) = new();
        drop(semaphore.permit());
        drop(semaphore);
        assert!(raw.upgrade().is_none());
    }

    #[test]
    fn a_thread_gives_back_after_its_own_handle_has_gone() {
        let (semaphore, raw) = new();
        thread::spawn(move || {
            std::mem::forget(semaphore.permit());
            let raw = raw.upgrade().unwrap();
            drop(semaphore);
            raw
        })
        .join()
        .map(|raw| assert_eq!(raw.available(), 10))
        .unwrap();
    }
}
