//! The life of a worker on a thread: who it is, what it holds, how it is asked to end, and what happens
//! when it has.
//!
//! A thread knows by a thread-local which worker it is. All threads that are no worker's, those that a worker
//! has started itself among them, are of the first process.

use super::sleep::{Sleeper, WaitList};
use super::{Home, circles, lock};
use crate::raw::end_of_thread;
use crate::sync::lock as guard;
use crate::{Context, ExitStatus, Identity, Result};
use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::Wake;

/// The pid of the first process.
pub(super) const FIRST: u32 = 1;

/// The pids of workers: those of one program differ, whatever their contexts.
static NEXT: AtomicU32 = AtomicU32::new(FIRST + 1);

pub(super) fn next_pid() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A worker's state, as its thread and others see it.
pub(super) struct Life {
    pub(super) identity: Identity,
    pub(super) home: Arc<Home>,
    /// Woken when it has ended.
    pub(super) ended: Arc<WaitList>,
    status: Mutex<Option<ExitStatus>>,
    /// What its thread sleeps in, once there is one.
    sleeper: OnceLock<Arc<Sleeper>>,
    /// The number of its thread.
    thread: OnceLock<u64>,
    /// It is to end: its waits fail.
    unwanted: AtomicBool,
    /// It answers Ctrl-C.
    answers: AtomicBool,
    /// Ctrl-C has come, and was not cleared.
    interrupted: AtomicBool,
    /// The ledgers on which it has a line.
    ledgers: Mutex<Vec<Weak<dyn Lines>>>,
}

/// A ledger, on which workers have lines.
pub(super) trait Lines: Send + Sync {
    /// The line of a worker that has ended is lost.
    fn lose(&self, pid: u32);
}

impl Life {
    pub(super) fn new(identity: Identity, home: Arc<Home>) -> Arc<Life> {
        Arc::new(Life {
            identity,
            home,
            ended: WaitList::new(),
            status: Mutex::default(),
            sleeper: OnceLock::new(),
            thread: OnceLock::new(),
            unwanted: AtomicBool::new(false),
            answers: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            ledgers: Mutex::default(),
        })
    }

    pub(super) fn status(&self) -> Option<ExitStatus> {
        *guard(&self.status)
    }

    /// The number of its thread, once there is one.
    pub(super) fn thread(&self) -> Option<u64> {
        self.thread.get().copied()
    }

    /// Nobody needs it any more: what it waits in fails, and so does every later wait.
    pub(super) fn abandon(&self) {
        self.unwanted.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::SeqCst)
    }

    /// Does what Ctrl-C does, if it answers that; whether it does.
    pub(super) fn interrupt(&self) -> bool {
        let answers = self.answers.load(Ordering::SeqCst);
        if answers {
            self.interrupted.store(true, Ordering::SeqCst);
            self.wake();
        }
        answers
    }

    fn wake(&self) {
        self.sleeper.get().into_iter().cloned().for_each(Wake::wake);
    }

    /// Its thread begins.
    pub(super) fn begin(self: &Arc<Life>, make: impl Fn() -> Context + 'static) {
        let _ = self.sleeper.set(Sleeper::of_this_thread());
        let _ = self.thread.set(circles::thread());
        let (life, make) = (self.clone(), Box::new(make));
        let (has_exited, context) = (Cell::new(false), RefCell::default());
        ME.replace(Some(Rc::new(Me { life, has_exited, make, context })));
    }

    /// It has a line on that ledger from now on.
    pub(super) fn is_on(&self, ledger: Weak<dyn Lines>) {
        let mut ledgers = guard(&self.ledgers);
        if ledgers.len() == ledgers.capacity() {
            ledgers.retain(|ledger| ledger.strong_count() > 0);
        }
        ledgers.push(ledger);
    }

    /// Gives back all that it holds, as if it had died: whoever comes next is told.
    fn let_go(&self) {
        lock::let_go();
        end_of_thread();
        let ledgers = std::mem::take(&mut *guard(&self.ledgers));
        ledgers.iter().filter_map(Weak::upgrade).for_each(|ledger| ledger.lose(self.identity.pid));
    }

    /// Its thread is done with it: gives back what it holds, and says how it ended.
    pub(super) fn end(&self, status: ExitStatus) {
        self.let_go();
        ME.take();
        self.home.tell_death();
        *guard(&self.status) = Some(status);
        self.ended.wake();
    }
}

/// What a worker's thread knows.
struct Me {
    life: Arc<Life>,
    /// It has exited, and its thread unwinds.
    has_exited: Cell<bool>,
    /// Makes the context that a worker has without making it.
    make: Box<dyn Fn() -> Context>,
    /// That context, once it was asked for, until the worker's end.
    context: RefCell<Option<Context>>,
}

thread_local! {
    static ME: RefCell<Option<Rc<Me>>> = const { RefCell::new(None) };
    /// True if this thread, of the first process, answers Ctrl-C.
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// What the threads of the first process that answer Ctrl-C sleep in.
static ANSWERING: Mutex<Vec<Weak<Sleeper>>> = Mutex::new(Vec::new());
/// Ctrl-C has come, and was not cleared.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The worker that the calling thread is.
fn me() -> Option<Rc<Me>> {
    ME.try_with(|me| me.borrow().clone()).ok().flatten()
}

/// The same, as others see it.
pub(super) fn this() -> Option<Arc<Life>> {
    me().map(|me| me.life.clone())
}

/// The pid of the calling process.
pub(super) fn pid() -> u32 {
    me().map_or(FIRST, |me| me.life.identity.pid)
}

/// True if the calling thread is a worker that nobody needs any more.
pub(super) fn is_unwanted() -> bool {
    me().is_some_and(|me| me.life.is_unwanted())
}

/// True if the calling thread is a worker that has exited, and unwinds: it holds nothing any more, and is to
/// take and give back nothing.
pub(super) fn has_exited() -> bool {
    me().is_some_and(|me| me.has_exited.get())
}

/// The calling thread has unwound; it has its children to join.
pub(super) fn has_unwound() {
    me().into_iter().for_each(|me| me.has_exited.set(false));
}

/// True if what the calling thread waits in is to fail.
pub(super) fn is_interrupted() -> bool {
    match me() {
        Some(me) => me.life.is_unwanted() || me.life.interrupted.load(Ordering::SeqCst),
        None => ANSWERS.try_with(Cell::get) == Ok(true) && INTERRUPTED.load(Ordering::SeqCst),
    }
}

/// The context of the worker that the calling thread is, for the function by which a program asks for
/// its ambient context; `None` if it is no worker's thread.
///
/// ```
/// assert!(procbox_core::local::current().is_none()); // this is the first process
/// ```
pub fn current() -> Option<Context> {
    let me = me()?;
    let mut context = me.context.borrow_mut();
    Some(context.get_or_insert_with(|| (me.make)()).clone())
}

/// Closes the worker's context: daemons are asked to end, the other children are joined.
pub(super) fn leave() {
    let context = me().and_then(|me| me.context.take());
    drop(context);
}

/// What an exit unwinds with.
pub(super) struct Exit(pub(super) i32);

/// Ends the worker that the calling thread is, and it alone, with this exit code; returns if it is no
/// worker's thread.
///
/// What it holds is given back first, and whoever comes next is told, as when a process exits. Then the thread
/// unwinds, without a word: what would catch a panic catches this, and destructors run. They find nothing to
/// give back, and what they want to take or to wait for fails with [`crate::Error::Interrupted`].
///
/// ```
/// procbox_core::local::exit(3); // the first process is no worker
/// ```
pub fn exit(code: i32) {
    if let Some(me) = me() {
        me.life.let_go();
        me.has_exited.set(true);
        drop(me);
        resume_unwind(Box::new(Exit(code)));
    }
}

/// Has [`interrupt`] end what the calling thread is blocked in; or, if it is a worker's,
/// [`crate::Process::interrupt`]. The answer is whether it is one.
///
/// ```
/// assert!(!procbox_core::local::answer_interrupts()); // this is the first process
/// ```
pub fn answer_interrupts() -> bool {
    if let Some(me) = me() {
        me.life.answers.store(true, Ordering::SeqCst);
        return true;
    }
    if !ANSWERS.replace(true) {
        let mut answering = guard(&ANSWERING);
        answering.retain(|sleeper| sleeper.strong_count() > 0);
        answering.push(Arc::downgrade(&Sleeper::of_this_thread()));
    }
    false
}

/// Ctrl-C has come, or was cleared: what threads of the first process that answer it wait in fails from now
/// on, or not any more.
///
/// ```
/// # fn example(q: procbox_core::Queue<u32>) {
/// procbox_core::local::answer_interrupts();
/// procbox_core::local::interrupt(true);
/// assert_eq!(q.get(), Err(procbox_core::Error::Interrupted));
/// procbox_core::local::interrupt(false);
/// # }
/// ```
pub fn interrupt(came: bool) {
    INTERRUPTED.store(came, Ordering::SeqCst);
    if came {
        let answering: Vec<_> = guard(&ANSWERING).iter().filter_map(Weak::upgrade).collect();
        answering.into_iter().for_each(Wake::wake);
    }
}

/// Forgets the Ctrl-C of the worker that the calling thread is; `false` if it is no worker's thread.
///
/// ```
/// assert!(!procbox_core::local::clear_interrupt());
/// ```
pub fn clear_interrupt() -> bool {
    me().is_some_and(|me| {
        me.life.interrupted.store(false, Ordering::SeqCst);
        true
    })
}

/// True if Ctrl-C has come to the worker that the calling thread is, and was not cleared; `None` if it is
/// no worker's thread.
///
/// ```
/// assert_eq!(procbox_core::local::interrupted(), None);
/// ```
pub fn interrupted() -> Option<bool> {
    me().map(|me| me.life.interrupted.load(Ordering::SeqCst))
}

/// Checks that a thing is of this family of contexts.
///
/// # Errors
/// [`crate::Error::ForeignHandle`].
pub(super) fn same_home(ours: &Arc<Home>, theirs: Option<&Arc<Home>>) -> Result<()> {
    match theirs {
        Some(theirs) if Arc::ptr_eq(ours, theirs) => Ok(()),
        _ => Err(crate::Error::ForeignHandle),
    }
}
