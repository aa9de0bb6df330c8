//! Waiting for what another backend has: try, watch, try again, sleep.

use super::Foreign;
use crate::blocked::Server;
use crate::ready::Source;
use crate::runtime::{Runtime, Sleep};
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::raw::{Handle, Side, Watch};
use procbox_core::{Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

/// Whoever wakes a process from outside runs no tasks: a thread that does has to be woken too.
struct Prompt {
    sleeper: Waker,
    runtime: Weak<Runtime>,
}

impl Wake for Prompt {
    fn wake(self: Arc<Prompt>) {
        self.sleeper.wake_by_ref();
        self.runtime.upgrade().iter().for_each(|runtime| runtime.prompt());
    }
}

/// One who waits for several things: all such look again.
struct Look(Weak<Foreign>);

impl Wake for Look {
    fn wake(self: Arc<Look>) {
        if let Some(foreign) = self.0.upgrade() {
            foreign.changed.wake(usize::MAX);
            foreign.runtime.prompt();
        }
    }
}

/// A try that lasts so long has waited for a process of the other backend that is stopped in the midst of a
/// change.
const STOPPED: Duration = Duration::from_millis(100);
/// After such a one, others run for so long.
const PAUSE: Duration = Duration::from_secs(1);

fn is_long(began: Duration, now: Duration) -> bool {
    now.saturating_sub(began) >= STOPPED
}

impl Foreign {
    /// Tries until `attempt` has an answer, sleeping in between until the other backend says that this
    /// side of it, if it has sides, may be ready.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if that backend cannot say so, and those of `attempt`.
    pub(crate) async fn until<T>(
        &self,
        side: Side,
        mut attempt: impl FnMut() -> Option<Result<T>>,
    ) -> Result<T> {
        let mut last = None;
        let spun = waiting::spin(&mut || {
            if let Some(answer) = attempt() {
                return Some(Some(answer));
            }
            let now = self.runtime.elapsed();
            // Who is stopped does not go on in microseconds.
            is_long(last.replace(now).unwrap_or(now), now).then_some(None)
        });
        if let Some(Some(answer)) = spun {
            return answer;
        }
        let mut watched: Option<Watch> = None;
        let mut again: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            again = None;
            let mut began = self.runtime.elapsed();
            // Dropped unasked, with a process that is killed, it hands on the wake that it may have had.
            if let Some(mut watch) = watched.take() {
                watch.about_to_try();
                let tried = attempt();
                watch.tried(tried.is_some());
                if let Some(answer) = tried {
                    return Poll::Ready(answer);
                }
            }
            let prompt =
                Prompt { sleeper: cx.waker().clone(), runtime: Arc::downgrade(&self.runtime) };
            let mut watch = match self.watch(side, &Waker::from(Arc::new(prompt))) {
                Ok(watch) => watch,
                Err(e) => return Poll::Ready(Err(e)),
            };
            let now = self.runtime.elapsed();
            let mut is_stopped = is_long(began, now);
            if !is_stopped {
                began = now;
                watch.about_to_try();
                // Tried after the watch began: what came before is had now, and what comes later wakes.
                if let Some(answer) = attempt() {
                    watch.tried(true);
                    return Poll::Ready(answer);
                }
                is_stopped = is_long(began, self.runtime.elapsed());
            }
            watched = Some(watch);
            if is_stopped {
                // What it was not let at may be there already, and then nobody wakes it.
                let pause = Wait::AtMost(PAUSE).deadline(&**self.runtime.clock());
                let mut sleep = Box::pin(self.runtime.sleep_until(pause));
                if sleep.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                again = Some(sleep);
            }
            Poll::Pending
        })
        .await
    }

    /// Has the other backend wake somebody.
    fn watch(&self, side: Side, waker: &Waker) -> Result<Watch> {
        let watch = match self.handle() {
            Handle::Lock(raw) => raw.watch(waker),
            Handle::Semaphore(raw) => raw.watch(waker),
            Handle::Event(raw) => raw.watch(waker),
            Handle::Queue(raw) => raw.watch(side, waker),
            Handle::Pipe(raw) => raw.watch(side, waker),
            Handle::Region(raw) => raw.watch(waker),
            _ => Ok(None),
        };
        watch?.ok_or(Error::Unsupported("waiting for such a thing of another backend"))
    }
}

impl Source for Arc<Foreign> {
    fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    fn is_ready(&self) -> bool {
        self.has_news()
    }

    fn changed(&self) -> &WaitList {
        &self.changed
    }

    fn watch(&self) -> Result<Option<Watch>> {
        let waker = Waker::from(Arc::new(Look(Arc::downgrade(self))));
        Foreign::watch(self, Side::Items, &waker).map(Some)
    }

    fn server(&self) -> Server {
        Server::Unknown
    }
}
