//! Waits that may last for ever, as those see them who wait: when they are asked, they say what they
//! wait for and what they have. `deadlock` asks, and tells those who wait in a circle to give up.
//!
//! A wait that is asked is polled before it answers. So an answer says also that what it waits for was
//! not there: one that was woken and has not run yet ends its wait instead.

use crate::ctrl_c;
use crate::cycles::Carrier;
use crate::sync::lock;
use procbox_core::observe::Awaited;
use procbox_core::{Error, Result};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Poll, Waker};

/// Those who can end a wait.
#[derive(Clone)]
pub(crate) enum Server {
    /// One alone: a process by its pid, or a thread of the embedding program by its number as a holder
    /// of locks.
    One(u64),
    /// Whoever has a reference to this.
    Referrers {
        /// The thing, by whose references it is counted who that is.
        thing: Weak<dyn Any + Send + Sync>,
        /// A process that waits for this and is the only one to have it means to sleep until it is
        /// ended.
        is_bed: bool,
    },
    /// Somebody of whom nothing is known.
    Unknown,
}

impl Server {
    /// Whoever has a reference to this.
    pub(crate) fn referrers<T: Any + Send + Sync>(thing: &Arc<T>) -> Server {
        let thing = Arc::downgrade(thing);
        Server::Referrers { thing, is_bed: false }
    }

    /// The same, of something on which one may sleep until one is ended.
    pub(crate) fn bed<T: Any + Send + Sync>(thing: &Arc<T>) -> Server {
        let thing = Arc::downgrade(thing);
        Server::Referrers { thing, is_bed: true }
    }
}

/// The address by which what is referred to is known.
pub(crate) fn address<T: ?Sized>(thing: &Arc<T>) -> usize {
    Arc::as_ptr(thing).cast::<()>().addr()
}

/// What one who waits says.
pub(crate) struct Told {
    /// Those who can end the wait: any of them.
    pub(crate) servers: Vec<Server>,
    /// The addresses of what it has, one for each reference.
    pub(crate) held: Vec<usize>,
    /// Those queues and ends of pipes among it in whose messages there are others.
    pub(crate) carriers: Vec<Weak<dyn Carrier>>,
    /// Ctrl-C ends the wait.
    pub(crate) answers: bool,
}

/// An answer to a question.
pub(crate) struct Answer {
    pub(crate) question: u64,
    pub(crate) on: Awaited,
    pub(crate) told: Told,
}

/// One who waits now and then.
#[derive(Default)]
pub(crate) struct Waiter {
    /// Odd during a wait without a bound; each wait has its own.
    turn: AtomicU64,
    /// The last question.
    asked: AtomicU64,
    /// The turn that is to end with [`Error::Deadlock`].
    condemned: AtomicU64,
    answer: Mutex<Option<Box<Answer>>>,
}

impl Waiter {
    /// The number of its wait without a bound, if it is in one.
    pub(crate) fn turn(&self) -> Option<u64> {
        Some(self.turn.load(Ordering::SeqCst)).filter(|turn| turn % 2 == 1)
    }

    /// Asks it. Who asks wakes it then.
    pub(crate) fn ask(&self, question: u64) {
        self.asked.store(question, Ordering::SeqCst);
    }

    /// Its answer to a question, if it has answered and still is in that wait.
    pub(crate) fn answer(&self, question: u64, turn: u64) -> Option<Box<Answer>> {
        let mut answer = lock(&self.answer);
        if answer.as_ref()?.question != question || self.turn() != Some(turn) {
            return None;
        }
        answer.take()
    }

    /// Has a wait end. Who says so wakes it then.
    pub(crate) fn condemn(&self, turn: u64) {
        self.condemned.store(turn, Ordering::SeqCst);
    }

    /// Waits for a future for as long as it takes, or until that is known to be for ever.
    ///
    /// # Errors
    /// Those of the future, and [`Error::Deadlock`].
    pub(crate) async fn until<T>(
        &self,
        alarm: &Alarm,
        on: Awaited,
        tell: impl Fn() -> Told,
        future: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Began::new(self, alarm);
        let mut future = pin!(future);
        let mut answered = 0;
        poll_fn(|cx| {
            // First: what is there by now is there because others of the circle have given up.
            if self.condemned.load(Ordering::SeqCst) == began.turn {
                return Poll::Ready(Err(Error::Deadlock));
            }
            if let Poll::Ready(result) = future.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            let question = self.asked.load(Ordering::SeqCst);
            if question > answered.max(began.question) {
                answered = question;
                *lock(&self.answer) = Some(Box::new(Answer { question, on, told: tell() }));
            }
            Poll::Pending
        })
        .await
    }
}

/// A wait that goes on until this is dropped.
struct Began<'a> {
    waiter: &'a Waiter,
    turn: u64,
    /// What was asked of an earlier wait is not asked of this one.
    question: u64,
}

impl<'a> Began<'a> {
    fn new(waiter: &'a Waiter, alarm: &Alarm) -> Began<'a> {
        let question = waiter.asked.load(Ordering::SeqCst);
        let turn = waiter.turn.fetch_add(1, Ordering::SeqCst) + 1;
        alarm.stir();
        Began { waiter, turn, question }
    }
}

impl Drop for Began<'_> {
    fn drop(&mut self) {
        self.waiter.turn.fetch_add(1, Ordering::SeqCst);
    }
}

/// A thread of the embedding program that waits for a lock or a process.
pub(crate) struct Outsider {
    /// The number by which it holds locks.
    pub(crate) holder: u64,
    pub(crate) waiter: Waiter,
    waker: Mutex<Option<Waker>>,
}

impl Outsider {
    pub(crate) fn wake(&self) {
        let waker = lock(&self.waker).clone();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The alarm of a sandbox: it is set off by waits that begin, and by what may leave others waiting for
/// ever.
#[derive(Default)]
pub(crate) struct Alarm {
    /// Somebody is going to look.
    is_set: AtomicBool,
    /// Has somebody look in a while; none if nobody does.
    look: OnceLock<Box<dyn Fn() + Send + Sync>>,
    outsiders: Mutex<Vec<Arc<Outsider>>>,
}

impl Alarm {
    /// Says how somebody is made to look, once.
    pub(crate) fn connect(&self, look: impl Fn() + Send + Sync + 'static) {
        let _ = self.look.set(Box::new(look));
    }

    /// True if anybody looks.
    pub(crate) fn is_on(&self) -> bool {
        self.look.get().is_some()
    }

    /// A wait began, or others may have begun to be for ever.
    #[inline]
    pub(crate) fn stir(&self) {
        if !self.is_set.load(Ordering::SeqCst) {
            self.set_off();
        }
    }

    #[cold]
    fn set_off(&self) {
        if let Some(look) = self.look.get()
            && !self.is_set.swap(true, Ordering::SeqCst)
        {
            look();
        }
    }

    /// Says whether somebody is going to look, for who does.
    pub(crate) fn set(&self, yes: bool) {
        self.is_set.store(yes, Ordering::SeqCst);
    }

    /// The threads of the embedding program that wait for a lock or a process.
    pub(crate) fn outsiders(&self) -> Vec<Arc<Outsider>> {
        lock(&self.outsiders).clone()
    }

    /// [`Waiter::until`] for a thread of the embedding program.
    pub(crate) async fn outside<T>(
        &self,
        holder: u64,
        on: Awaited,
        server: impl Fn() -> u64,
        future: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let outsider =
            Arc::new(Outsider { holder, waiter: Waiter::default(), waker: Mutex::default() });
        let _listed = Listed::new(self, &outsider);
        let answers = ctrl_c::answers();
        let tell = || Told {
            servers: vec![Server::One(server())],
            held: Vec::new(),
            carriers: Vec::new(),
            answers,
        };
        let mut wait = pin!(outsider.waiter.until(self, on, tell, future));
        poll_fn(|cx| {
            *lock(&outsider.waker) = Some(cx.waker().clone());
            wait.as_mut().poll(cx)
        })
        .await
    }
}

/// An outsider's place on the list.
struct Listed<'a> {
    alarm: &'a Alarm,
    outsider: &'a Arc<Outsider>,
}

impl<'a> Listed<'a> {
    fn new(alarm: &'a Alarm, outsider: &'a Arc<Outsider>) -> Listed<'a> {
        lock(&alarm.outsiders).push(outsider.clone());
        Listed { alarm, outsider }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut outsiders = lock(&self.alarm.outsiders);
        if let Some(at) = outsiders.iter().position(|it| Arc::ptr_eq(it, self.outsider)) {
            outsiders.swap_remove(at);
        }
    }
}
