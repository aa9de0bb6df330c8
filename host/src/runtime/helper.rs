//! Outside threads that block in a call of ours, and how Ctrl-C reaches them.

use super::{Runtime, lock};
use procbox_core::{Deadline, Error, Result, SystemClock};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

const PARKED: u8 = 0;
const HELPING: u8 = 1;
const WOKEN: u8 = 2;

/// A blocked thread's bell.
struct Bell {
    thread: Thread,
    state: AtomicU8,
    /// Whose tasks it runs meanwhile.
    runtime: Weak<Runtime>,
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        match self.state.swap(WOKEN, Ordering::AcqRel) {
            PARKED => self.thread.unpark(),
            // It runs somebody's guest: that guest should give the thread back.
            HELPING => {
                if self.thread.id() != std::thread::current().id()
                    && let Some(runtime) = self.runtime.upgrade()
                {
                    runtime.preempt();
                }
            }
            _ => {}
        }
    }
}

/// From an interrupt until it is cleared.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The bells of the answering threads that are blocked now.
static BLOCKED: Mutex<Vec<Arc<Bell>>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread's blocked calls end when there is an interrupt.
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// Has the calling thread's blocked calls end on an interrupt.
pub(crate) fn answer_interrupts() {
    ANSWERS.set(true);
}

/// Sets or clears the interrupt.
pub(crate) fn interrupt(on: bool) {
    INTERRUPTED.store(on, Ordering::SeqCst);
    if on {
        lock(&BLOCKED).iter().for_each(Wake::wake_by_ref);
    }
}

/// Whether the calling thread is to stop waiting.
pub(crate) fn interrupted() -> bool {
    ANSWERS.get() && INTERRUPTED.load(Ordering::SeqCst)
}

/// Enters the list of blocked threads, and leaves it when dropped.
struct Listed<'a>(&'a Arc<Bell>);

impl<'a> Listed<'a> {
    fn new(bell: &'a Arc<Bell>) -> Listed<'a> {
        lock(&BLOCKED).push(bell.clone());
        Listed(bell)
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut blocked = lock(&BLOCKED);
        if let Some(at) = blocked.iter().position(|bell| Arc::ptr_eq(bell, self.0)) {
            blocked.swap_remove(at);
        }
    }
}

impl Runtime {
    /// Blocks the calling thread until the future is done; meanwhile it runs tasks.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`], or what the future says.
    pub(crate) fn block_on<T>(
        self: &Arc<Runtime>,
        future: impl Future<Output = Result<T>>,
        deadline: Deadline,
    ) -> Result<T> {
        let bell = Arc::new(Bell {
            thread: std::thread::current(),
            state: AtomicU8::new(WOKEN),
            runtime: Arc::downgrade(self),
        });
        // On the list before the first look, so that an interrupt is either seen or rings.
        let _listed = ANSWERS.get().then(|| Listed::new(&bell));
        let waker = Waker::from(bell.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if bell.state.swap(HELPING, Ordering::AcqRel) == WOKEN {
                if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
                    return result;
                }
                if interrupted() {
                    return Err(Error::Interrupted);
                }
            }
            if deadline.is_past(&SystemClock) {
                return Err(Error::TimedOut);
            }
            if self.run_one() {
                continue;
            }
            // Nobody has rung since the last look: sleep until somebody does.
            if bell
                .state
                .compare_exchange(HELPING, PARKED, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                match deadline.remaining(&SystemClock) {
                    None => std::thread::park(),
                    Some(left) => std::thread::park_timeout(left),
                }
            }
        }
    }
}
