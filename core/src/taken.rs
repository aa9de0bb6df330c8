//! Permits that the threads of this process have taken. A thread that ends gives back what it has.
//!
//! A thread has an entry for each semaphore of which it took permits. It alone writes to `taken`, so
//! that taking and giving back cost no atomic exchange; what other threads give back in its stead
//! they count in `given`. All entries are listed, for those others. Where programs have one thread
//! there is nothing of this.

use crate::raw::RawSemaphore;
use crate::sync::lock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// True if there may be several threads.
const THREADS: bool = !cfg!(target_family = "wasm");

/// Entries of a thread from which on those without permits are dropped when there is one more.
const MANY: usize = 16;

/// Number of a permit that is nobody's: nothing gives it back before the process ends.
const NOBODY: u64 = 0;

/// The permits of one semaphore that one thread has.
struct Entry {
    thread: u64,
    semaphore: usize,
    /// Those that it took, less those that it gave back itself.
    taken: AtomicUsize,
    /// Those of them that other threads gave back.
    given: AtomicUsize,
    /// The semaphore, if a handle of it was dropped while there were permits.
    kept: Mutex<Option<Arc<dyn RawSemaphore>>>,
    is_kept: AtomicBool,
}

impl Entry {
    fn count(&self) -> usize {
        let taken = self.taken.load(Ordering::Relaxed);
        taken.saturating_sub(self.given.load(Ordering::Relaxed))
    }

    fn took(&self) {
        // Two that gave back the same one may have counted one too many.
        let taken = self.given.load(Ordering::Relaxed).max(self.taken.load(Ordering::Relaxed));
        self.taken.store(taken + 1, Ordering::Relaxed);
    }

    /// By the thread itself.
    fn gave(&self) {
        self.taken.store(self.taken.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        self.let_go();
    }

    /// By another thread; `false` if there is none to give back.
    fn give(&self) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        let one_more = |given| Some(given + 1).filter(|given| *given <= taken);
        let gave = self.given.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        self.let_go();
        gave
    }

    /// Nothing is to be given back: the semaphore may go.
    fn let_go(&self) {
        if self.is_kept.load(Ordering::Relaxed) && self.count() == 0 {
            drop(self.keep(None));
        }
    }

    fn keep(&self, semaphore: Option<Arc<dyn RawSemaphore>>) -> Option<Arc<dyn RawSemaphore>> {
        let mut kept = lock(&self.kept);
        self.is_kept.store(semaphore.is_some(), Ordering::Relaxed);
        std::mem::replace(&mut *kept, semaphore)
    }
}

type Listed = HashMap<usize, Vec<Arc<Entry>>>;

/// The entries of all threads, by semaphore, and how many there are.
static LISTED: Mutex<Option<Listed>> = Mutex::new(None);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The entries of a semaphore.
fn entries_of(number: usize) -> Vec<Arc<Entry>> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return Vec::new();
    }
    lock(&LISTED).as_ref().and_then(|all| all.get(&number)).cloned().unwrap_or_default()
}

fn unlist(entry: &Arc<Entry>) {
    let mut listed = lock(&LISTED);
    let Some(all) = &mut *listed else { return };
    let Some(entries) = all.get_mut(&entry.semaphore) else { return };
    entries.retain(|other| !Arc::ptr_eq(other, entry));
    if entries.is_empty() {
        all.remove(&entry.semaphore);
    }
    COUNT.fetch_sub(1, Ordering::Release);
}

/// One of the calling thread's entries, with the semaphore as it took from it.
struct Own {
    entry: Arc<Entry>,
    semaphore: Weak<dyn RawSemaphore>,
}

/// The calling thread's entries.
struct Account {
    thread: u64,
    own: RefCell<Vec<Own>>,
}

thread_local! {
    static ACCOUNT: Account = Account::new();
}

impl Account {
    fn new() -> Account {
        static NEXT: AtomicU64 = AtomicU64::new(NOBODY + 1);
        Account { thread: NEXT.fetch_add(1, Ordering::Relaxed), own: RefCell::default() }
    }

    fn took(&self, semaphore: &Arc<dyn RawSemaphore>, number: usize) {
        let mut own = self.own.borrow_mut();
        let at = match own.iter().position(|own| own.entry.semaphore == number) {
            Some(at) => at,
            None => {
                self.list(&mut own, semaphore, number);
                own.len() - 1
            }
        };
        let own = &mut own[at];
        // The handle by which it took before may be gone.
        if !std::ptr::addr_eq(own.semaphore.as_ptr(), Arc::as_ptr(semaphore))
            && own.entry.count() == 0
        {
            own.semaphore = Arc::downgrade(semaphore);
        }
        own.entry.took();
    }

    #[cold]
    fn list(&self, own: &mut Vec<Own>, semaphore: &Arc<dyn RawSemaphore>, number: usize) {
        if own.len() >= MANY {
            own.extract_if(.., |own| own.entry.count() == 0).for_each(|own| unlist(&own.entry));
        }
        let entry = Arc::new(Entry {
            thread: self.thread,
            semaphore: number,
            taken: AtomicUsize::new(0),
            given: AtomicUsize::new(0),
            kept: Mutex::new(None),
            is_kept: AtomicBool::new(false),
        });
        lock(&LISTED).get_or_insert_default().entry(number).or_default().push(entry.clone());
        COUNT.fetch_add(1, Ordering::Release);
        own.push(Own { entry, semaphore: Arc::downgrade(semaphore) });
    }

    /// True if it had a permit to give back.
    fn gave(&self, number: usize) -> bool {
        let own = self.own.borrow();
        let mut entries = own.iter().map(|own| &own.entry);
        let entry = entries.find(|entry| entry.semaphore == number && entry.count() > 0);
        entry.map(|entry| entry.gave()).is_some()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        for Own { entry, semaphore } in std::mem::take(self.own.get_mut()) {
            // From here on nobody gives back in its stead.
            unlist(&entry);
            let Some(semaphore) = entry.keep(None).or_else(|| semaphore.upgrade()) else {
                continue;
            };
            for _ in 0..entry.count() {
                // It fails only on overflow, which a permit that was taken cannot cause.
                let _ = semaphore.release();
            }
        }
    }
}

/// Notes a permit that the calling thread has taken; whose it is.
#[inline]
pub(crate) fn took(semaphore: &Arc<dyn RawSemaphore>) -> u64 {
    if !THREADS {
        return NOBODY;
    }
    let number = semaphore.number();
    let noted = ACCOUNT.try_with(|account| {
        account.took(semaphore, number);
        account.thread
    });
    noted.unwrap_or(NOBODY)
}

/// Strikes out a permit that is about to be given back: one of the calling thread's, or else of another's.
#[inline]
pub(crate) fn gives(semaphore: &Arc<dyn RawSemaphore>) {
    if !THREADS {
        return;
    }
    let number = semaphore.number();
    if !ACCOUNT.try_with(|account| account.gave(number)).unwrap_or(false) {
        entries_of(number).iter().any(|entry| entry.give());
    }
}

/// Strikes out a permit of this thread's that is about to be given back; `false` if it has come back
/// already, because that thread has ended.
#[inline]
pub(crate) fn gives_of(thread: u64, semaphore: &Arc<dyn RawSemaphore>) -> bool {
    if thread == NOBODY {
        return true;
    }
    let number = semaphore.number();
    let is_own = |account: &Account| {
        let is_own = account.thread == thread;
        if is_own {
            account.gave(number);
        }
        is_own
    };
    ACCOUNT.try_with(is_own).unwrap_or(false) || gives_of_another(thread, number)
}

#[cold]
fn gives_of_another(thread: u64, number: usize) -> bool {
    let entries = entries_of(number);
    let entry = entries.iter().find(|entry| entry.thread == thread);
    entry.map(|entry| entry.give()).is_some()
}

/// A handle of a semaphore goes. Threads that have permits of it keep it until they have given them back.
pub(crate) fn handle_goes(semaphore: &Arc<dyn RawSemaphore>) {
    if !THREADS {
        return;
    }
    for entry in entries_of(semaphore.number()) {
        if entry.count() > 0 {
            drop(entry.keep(Some(semaphore.clone())));
            entry.let_go();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Result, Semaphore, Wait};
    use std::thread;

    struct Counted(AtomicUsize);

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
        fn available(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn new() -> (Semaphore, Weak<Counted>) {
        let raw = Arc::new(Counted(AtomicUsize::new(10)));
        let weak = Arc::downgrade(&raw);
        (Semaphore::from_raw(raw), weak)
    }

    #[test]
    fn whatever_threads_take_and_give_all_is_back_when_they_have_ended() {
        let (semaphore, _) = new();
        for round in 0..200usize {
            thread::scope(|scope| {
                for thread in 0..3usize {
                    let semaphore = &semaphore;
                    scope.spawn(move || {
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
                    });
                }
            });
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
