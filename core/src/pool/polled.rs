//! Results of tasks for those who wait without a thread: the pool's own thread drives meanwhile.

use super::driver::Driver;
use super::sink::Promise;
use crate::{Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

/// A waker that a result has, until this is dropped.
struct Watching<'a, R> {
    promise: &'a dyn Promise<R>,
    number: Option<u64>,
}

impl<R> Watching<'_, R> {
    fn end(&mut self) {
        self.number.take().into_iter().for_each(|number| self.promise.unwatch(number));
    }
}

impl<R> Drop for Watching<'_, R> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The result, taken when it is there.
pub(super) fn result<'a, R>(
    driver: &'a Arc<Driver>,
    promise: &'a dyn Promise<R>,
) -> impl Future<Output = Result<R>> + use<'a, R> {
    let mut watching = Watching { promise, number: None };
    poll_fn(move |cx| {
        watching.end();
        if !promise.is_ready() {
            watching.number = promise.watch(cx.waker());
            if watching.number.is_some() {
                if driver.drive_for_others() {
                    return Poll::Pending;
                }
                // There is no thread but this one.
                let driven = driver.drive_until(&|| promise.is_ready(), Wait::Forever);
                if let Err(e) = driven {
                    return Poll::Ready(Err(e));
                }
            }
        }
        Poll::Ready(promise.take().unwrap_or(Err(Error::Closed)))
    })
}
