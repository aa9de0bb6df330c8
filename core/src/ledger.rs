//! Ledgers, as the primitives of this crate use them: a step of arithmetic on the page, and a wait until
//! such a step says that it is done.
//!
//! Each of those primitives begins every step by looking at what is lost: the lines of those who died.
//! So the first who comes after a death makes up for it, in the same change as its own step.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::polled::Last;
use crate::raw::{Handle, Page, RawLedger, Seen};
use crate::time::{Clock, Deadline};
use crate::{Error, Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

/// A ledger. It is written on by one kind of primitive alone.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<dyn RawLedger>);

/// The outcome of a step.
pub(crate) enum Step<T> {
    /// This is what was waited for.
    Done(T),
    /// Not yet: to be looked at again when this bell is rung.
    Sleep(usize),
}

impl Ledger {
    pub(crate) fn from_raw(raw: Arc<dyn RawLedger>) -> Ledger {
        Ledger(raw)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }

    fn change<T>(
        &self,
        wait: Option<Wait>,
        mut work: impl FnMut(&mut Page) -> T,
    ) -> Result<(T, Seen)> {
        let mut answer = None;
        let seen = self.0.change(wait, &mut |page| answer = Some(work(page)))?;
        let answer =
            answer.ok_or(Error::Unsupported("ledgers that are changed when it is asked to"))?;
        Ok((answer, seen))
    }

    /// One step that cannot be left undone. It may be repeated, each time on the page as it then is.
    pub(crate) fn update<T>(&self, work: impl FnMut(&mut Page) -> T) -> Result<T> {
        self.change(None, work).map(|(answer, _)| answer)
    }

    /// One step of a call that waits so long, and when that was.
    pub(crate) fn look<T>(
        &self,
        wait: Wait,
        work: impl FnMut(&mut Page) -> T,
    ) -> Result<(T, Seen)> {
        self.change(Some(wait), work)
    }

    /// Waits until a bell is rung after that, for as long as there still is of a call's wait.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`], [`Error::Deadlock`].
    pub(crate) fn sleep(&self, bell: usize, seen: Seen, waiting: &mut Waiting) -> Result<()> {
        self.0.wait(bell, seen, waiting.left(self)?)
    }

    /// Repeats a step until it is done, or the wait is over.
    ///
    /// # Errors
    /// As for [`Ledger::sleep`].
    pub(crate) fn until<T>(
        &self,
        wait: Wait,
        mut step: impl FnMut(&mut Page) -> Step<T>,
    ) -> Result<T> {
        let mut waiting = Waiting::new(wait);
        loop {
            match self.look(waiting.wait, &mut step)? {
                (Step::Done(answer), _) => return Ok(answer),
                (Step::Sleep(bell), seen) => self.sleep(bell, seen, &mut waiting)?,
            }
        }
    }
}

/// For those who wait without a thread.
impl Ledger {
    /// As [`Ledger::until`], as a future. Dropped before it is ready, it has done no step that is done.
    pub(crate) fn until_polled<T>(
        &self,
        mut step: impl FnMut(&mut Page) -> Step<T>,
    ) -> impl Future<Output = Result<T>> {
        self.polled(move |ledger| {
            let (step, seen) = ledger.look(Wait::Never, &mut step)?;
            Ok(match step {
                Step::Done(answer) => Ok(answer),
                Step::Sleep(bell) => Err((bell, seen)),
            })
        })
    }

    /// Repeats an attempt, which says what it found, or which bell it is to be repeated at, seen so.
    pub(crate) fn polled<T>(
        &self,
        mut attempt: impl FnMut(&Ledger) -> Result<std::result::Result<T, (usize, Seen)>>,
    ) -> impl Future<Output = Result<T>> {
        let mut last = Last::default();
        poll_fn(move |cx| {
            last.about_to_try();
            let answer = match attempt(self) {
                // A process is stopped in the midst of a change. That was waited for, for a while.
                Err(Error::TimedOut) => {
                    last.tried(false);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Err(asleep)) => {
                    last.tried(false);
                    return self.watch(asleep, cx, &mut last, &mut attempt);
                }
                Ok(Ok(found)) => Ok(found),
                Err(e) => Err(e),
            };
            last.tried(true);
            Poll::Ready(answer)
        })
    }

    fn watch<T>(
        &self,
        (bell, seen): (usize, Seen),
        cx: &Context<'_>,
        last: &mut Last,
        attempt: &mut impl FnMut(&Ledger) -> Result<std::result::Result<T, (usize, Seen)>>,
    ) -> Poll<Result<T>> {
        match self.0.watch(bell, seen, cx.waker()) {
            Ok(Some(watch)) => {
                last.is(watch);
                return Poll::Pending;
            }
            Ok(None) => {}
            Err(e) => return Poll::Ready(Err(e)),
        }
        // Nobody else can run meanwhile.
        let (mut waiting, mut asleep) = (Waiting::new(Wait::Forever), (bell, seen));
        loop {
            let slept = self.sleep(asleep.0, asleep.1, &mut waiting);
            match slept.and_then(|()| attempt(self)) {
                Ok(Ok(found)) => return Poll::Ready(Ok(found)),
                Ok(Err(again)) => asleep = again,
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

/// A call's wait, which begins when it first has to.
pub(crate) struct Waiting {
    pub(crate) wait: Wait,
    until: Option<Deadline>,
}

impl Waiting {
    pub(crate) fn new(wait: Wait) -> Waiting {
        Waiting { wait, until: None }
    }

    /// What there still is of it.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if there is nothing.
    fn left(&mut self, ledger: &Ledger) -> Result<Wait> {
        if let Wait::AtMost(_) = self.wait {
            let clock = ledger.clock();
            let until = *self.until.get_or_insert_with(|| self.wait.deadline(&*clock));
            self.wait = until.wait(&*clock);
        }
        if self.wait.is_never() { Err(Error::TimedOut) } else { Ok(self.wait) }
    }
}

impl Serialize for Ledger {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_handle(Handle::Ledger(self.0.clone()), s)
    }
}

impl<'de> Deserialize<'de> for Ledger {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Ledger, D::Error> {
        match deserialize_handle(d)? {
            Handle::Ledger(raw) => Ok(Ledger(raw)),
            other => Err(serde::de::Error::custom(format!("a {} is not a ledger", other.kind()))),
        }
    }
}

/// The kinds of primitives that stand on ledgers: in a message, each handle is behind its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    RLock = 1,
    BoundedSemaphore,
    Condition,
    Barrier,
    JoinableQueue,
    RwLock,
    Once,
}

impl Kind {
    fn name(number: u8) -> &'static str {
        const NAMES: [&str; 7] = [
            "reentrant lock",
            "bounded semaphore",
            "condition",
            "barrier",
            "joinable queue",
            "read-write lock",
            "once",
        ];
        let name = usize::from(number).checked_sub(1).and_then(|at| NAMES.get(at));
        name.copied().unwrap_or("handle of an unknown kind")
    }
}

/// Serialises what a primitive is made of behind its kind.
pub(crate) fn serialize_as<S: Serializer>(
    kind: Kind,
    parts: impl Serialize,
    s: S,
) -> Result<S::Ok, S::Error> {
    (kind as u8, parts).serialize(s)
}

/// What a primitive of this kind is made of.
pub(crate) fn deserialize_as<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    kind: Kind,
    d: D,
) -> Result<T, D::Error> {
    let (found, parts) = <(u8, T)>::deserialize(d)?;
    if found == kind as u8 {
        return Ok(parts);
    }
    let (found, due) = (Kind::name(found), Kind::name(kind as u8));
    Err(serde::de::Error::custom(format!("a {found} is not a {due}")))
}

/// Makes a type whose one field is `ledger` travel.
macro_rules! travels {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                $crate::ledger::serialize_as($crate::ledger::Kind::$type, &self.ledger, s)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<$type, D::Error> {
                $crate::ledger::deserialize_as($crate::ledger::Kind::$type, d)
                    .map(|ledger| $type::of(ledger))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($type))
            }
        }
    };
}
pub(crate) use travels;

/// Takes from a number what is to be taken from it, as far as there is as much: others who have the
/// ledger may have written anything on it.
pub(crate) fn less(word: &mut u64, n: u64) {
    *word = word.saturating_sub(n);
}

/// Strikes what is lost of a lane, and says how much that was.
pub(crate) fn take_lost(page: &mut Page, lane: usize) -> u64 {
    std::mem::take(&mut page.lost[lane])
}
