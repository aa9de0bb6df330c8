//! The reaper: one thread that waits for the deaths of all children of a context.
//!
//! It recovers what a dead process held, ends processes that are beyond a limit, and leaves no
//! zombies.
//! A thread that is blocked in `join` sees the death itself, and may be quicker. Wakers for the end of a
//! child are woken by this thread alone, which holds no lock meanwhile.

use crate::arena::Arena;
use crate::process::Child;
use crate::recover;
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::wakers;
use crate::syscalls::os;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use procbox_core::Result;
use procbox_core::time::{Clock, SystemClock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// The key of the eventfd in the epoll set; children have those above.
const NEWS: u64 = 0;

/// Pauses between looks at the processes whose parent died, at first and in the end: most of them
/// are daemons, which die with it.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Pause between attempts to recover what a stopped process is in the way of.
const AGAIN: Duration = Duration::from_millis(20);

/// State that the thread and its context share.
pub(crate) struct Reaper {
    epoll: Epoll,
    /// Written to when there is a child with a limit, or when the thread is to end.
    news: EventFd,
    children: Mutex<HashMap<u64, Arc<Child>>>,
    /// Bumped whenever a child has ended.
    deaths: Arc<AtomicU32>,
    arena: Arc<Arena>,
    /// Processes live whose parent has died: their deaths reach nobody, so they are looked at.
    orphans: AtomicBool,
    /// Children that were reaped and could not be recovered yet: a process is stopped.
    again: Mutex<Vec<u64>>,
    /// Those who waited for the ends of children, which have come.
    due: Mutex<Due>,
    ending: AtomicBool,
}

/// Wakers that the thread is to wake.
#[derive(Default)]
struct Due {
    wakers: Vec<Waker>,
    /// The thread has ended.
    is_over: bool,
}

impl Reaper {
    /// Starts the thread.
    pub(crate) fn start(deaths: Arc<AtomicU32>, arena: Arc<Arena>) -> Result<Arc<Reaper>> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| os("epoll_create", e))?;
        let news = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|e| os("eventfd", e))?;
        epoll
            .add(&news, EpollEvent::new(EpollFlags::EPOLLIN, NEWS))
            .map_err(|e| os("epoll_ctl", e))?;
        let reaper = Arc::new(Reaper {
            epoll,
            news,
            children: Mutex::new(HashMap::new()),
            deaths,
            arena,
            orphans: AtomicBool::new(false),
            again: Mutex::default(),
            due: Mutex::default(),
            ending: AtomicBool::new(false),
        });
        let shared = reaper.clone();
        std::thread::Builder::new()
            .name("procbox-reaper".into())
            .spawn(move || shared.run())
            .map_err(|e| os("thread", e))?;
        Ok(reaper)
    }

    fn children(&self) -> MutexGuard<'_, HashMap<u64, Arc<Child>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches one more child.
    pub(crate) fn watch(&self, child: &Arc<Child>) -> Result<()> {
        // Pids of children that are on the list are not reused: one is taken off when reaped, and
        // `insert` then replaces what was reaped already.
        let key = child.pid() as u64;
        self.children().insert(key, child.clone());
        if child.limits.any() {
            let _ = self.news.write(1);
        }
        // Once for its death: what is left to a joiner must not keep this thread spinning.
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, key);
        self.epoll.add(child.pidfd(), event).map_err(|e| os("epoll_ctl", e))
    }

    /// Lets the thread end once no child is left.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = self.news.write(1);
    }

    fn run(&self) {
        let mut events = [EpollEvent::empty(); 64];
        let mut pause = FIRST_LOOK;
        loop {
            let mut timeout = self.keep_to_limits();
            if self.orphans.load(Ordering::SeqCst) {
                timeout = Some(timeout.map_or(pause, |timeout| timeout.min(pause)));
                pause = (pause * 2).min(LAST_LOOK);
            } else {
                pause = FIRST_LOOK;
            }
            let again = std::mem::take(&mut *self.again());
            again.iter().for_each(|key| self.reap(*key));
            if !self.again().is_empty() {
                timeout = Some(timeout.map_or(AGAIN, |timeout| timeout.min(AGAIN)));
            }
            self.wake_due();
            if self.ending.load(Ordering::SeqCst) && self.children().is_empty() && self.is_over() {
                return;
            }
            // An error is an interruption by a signal.
            let millis = timeout.map(|timeout| timeout.as_millis() + 1);
            let millis = millis.map(|millis| i32::try_from(millis).unwrap_or(i32::MAX));
            let timeout = millis.and_then(|millis| EpollTimeout::try_from(millis).ok());
            let count = self.epoll.wait(&mut events, timeout.unwrap_or(EpollTimeout::NONE));
            let count = count.unwrap_or(0);
            for event in &events[..count] {
                match event.data() {
                    NEWS => drop(self.news.read()),
                    key => self.reap(key),
                }
            }
            if self.orphans.load(Ordering::SeqCst) {
                self.orphans.store(
                    recover::recover_unwatched(&self.arena, &Patience::brief()),
                    Ordering::SeqCst,
                );
            }
        }
    }

    fn reap(&self, key: u64) {
        let child = self.children().get(&key).cloned();
        if child.is_some_and(|child| !child.reap_unjoined()) {
            self.again().push(key);
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_due(&self) {
        let due = std::mem::take(&mut self.due().wakers);
        due.into_iter().for_each(wakers::wake);
    }

    /// Ends the thread's part, unless there is somebody to wake.
    fn is_over(&self) -> bool {
        let mut due = self.due();
        due.is_over = due.wakers.is_empty();
        due.is_over
    }

    /// Has these woken by the thread.
    pub(crate) fn wake_later(&self, wakers: Vec<Waker>) {
        if wakers.is_empty() {
            return;
        }
        let mut due = self.due();
        if due.is_over {
            drop(due);
            return wakers.into_iter().for_each(wakers::wake);
        }
        due.wakers.extend(wakers);
        drop(due);
        let _ = self.news.write(1);
    }

    fn again(&self) -> MutexGuard<'_, Vec<u64>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child was reaped and could not be recovered: the thread is to see to it.
    pub(crate) fn come_again(&self, child: &Child) {
        self.again().push(child.pid() as u64);
        let _ = self.news.write(1);
    }

    /// A child was reaped: it is off the list, and those in `ready` look again.
    pub(crate) fn forget(&self, child: &Child) {
        let key = child.pid() as u64;
        let mut children = self.children();
        let gone = if children.get(&key).is_some_and(|now| std::ptr::eq(&**now, child)) {
            children.remove(&key)
        } else {
            None
        };
        let was_last = children.is_empty();
        drop(children);
        drop(gone);
        let _ = self.epoll.delete(child.pidfd());
        self.deaths.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(&self.deaths);
        // Its own children have nobody now.
        let some_live = recover::recover_unwatched(&self.arena, &Patience::brief());
        if some_live && !self.orphans.swap(true, Ordering::SeqCst) {
            let _ = self.news.write(1);
        }
        if was_last && self.ending.load(Ordering::SeqCst) {
            let _ = self.news.write(1);
        }
    }

    /// Ends the children that are beyond a limit; how long until one may be.
    fn keep_to_limits(&self) -> Option<Duration> {
        let now = SystemClock.now();
        // Not under the list's lock: whoever reaps a child holds the child's and wants the list's.
        let limited: Vec<_> =
            self.children().values().filter(|child| child.limits.any()).cloned().collect();
        let next = limited.iter().filter_map(|child| child.keep_to_limits(now)).min();
        next.map(|next| next.saturating_duration_since(now))
    }
}
