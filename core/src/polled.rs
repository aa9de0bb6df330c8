//! Waits that are polled: a try that does not wait, and a watch until the next.
//!
//! Whoever polls tries first. If there is nothing it watches, and tries once more, since what came in
//! between wakes nobody. What a try has found is handed out by the same poll, so a wait that is dropped
//! has nothing that could be lost; and its watch, dropped with it, hands on a wake that it had.
//!
//! Where nothing can be watched (inside a sandboxed process, and in simulations, both of which have one
//! thread) a poll waits as the blocking call does.

use crate::raw::Watch;
use crate::time::{Clock, SystemClock};
use crate::{Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A try that lasts so long has waited for a process that is stopped in the midst of a change. When that
/// goes on, nobody is woken; so it is tried again.
const STOPPED: Duration = Duration::from_millis(100);

/// What a try has found; `None` if it ran out.
fn found<T>(tried: Result<T>) -> Option<Result<T>> {
    match tried {
        Err(Error::TimedOut | Error::Empty | Error::Full) => None,
        tried => Some(tried),
    }
}

/// The watch of a wait, from one try to the next.
#[derive(Default)]
pub(crate) struct Last(Option<Watch>);

impl Last {
    /// A try is to be made.
    pub(crate) fn about_to_try(&mut self) {
        self.0.iter_mut().for_each(Watch::about_to_try);
    }

    /// A try has been made.
    pub(crate) fn tried(&mut self, found: bool) {
        self.0.take().into_iter().for_each(|watch| watch.tried(found));
    }

    pub(crate) fn is(&mut self, watch: Watch) {
        self.0 = Some(watch);
    }
}

/// One poll of a wait.
fn poll<T>(
    cx: &mut Context<'_>,
    last: &mut Last,
    attempt: &mut impl FnMut(Wait) -> Result<T>,
    watch: &impl Fn(&Waker) -> Result<Option<Watch>>,
) -> Poll<Result<T>> {
    last.about_to_try();
    let answer = found(attempt(Wait::Never));
    last.tried(answer.is_some());
    if let Some(answer) = answer {
        return Poll::Ready(answer);
    }
    match watch(cx.waker()) {
        Ok(Some(watch)) => last.is(watch),
        Ok(None) => return Poll::Ready(attempt(Wait::Forever)),
        Err(e) => return Poll::Ready(Err(e)),
    }
    let began = SystemClock.now();
    last.about_to_try();
    match found(attempt(Wait::Never)) {
        Some(answer) => {
            last.tried(true);
            return Poll::Ready(answer);
        }
        None if began.elapsed() >= STOPPED => cx.waker().wake_by_ref(),
        None => {}
    }
    Poll::Pending
}

/// Waits until `attempt`, which waits as long as it is told, has an answer. `watch` has a waker woken when
/// it may have.
pub(crate) fn until<T>(
    mut attempt: impl FnMut(Wait) -> Result<T>,
    watch: impl Fn(&Waker) -> Result<Option<Watch>>,
) -> impl Future<Output = Result<T>> {
    let mut last = Last::default();
    poll_fn(move |cx| poll(cx, &mut last, &mut attempt, &watch))
}

#[cfg(test)]
mod tests;
