//! A future that is ready at a deadline.

use super::Runtime;
use super::timers::Id;
use procbox_core::time::Deadline;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A future that is ready at a deadline; see [`Runtime::sleep_until`].
pub(crate) struct Sleep {
    runtime: Arc<Runtime>,
    deadline: Deadline,
    id: Option<Id>,
}

impl Sleep {
    pub(super) fn new(runtime: Arc<Runtime>, deadline: Deadline) -> Sleep {
        Sleep { runtime, deadline, id: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.deadline.instant() else { return Poll::Pending };
        if self.deadline.is_past(&**self.runtime.clock()) {
            return Poll::Ready(());
        }
        let (id, first) = self.runtime.scheduler.timers().set(self.id, at, cx.waker().clone());
        self.id = Some(id);
        if first {
            self.runtime.scheduler.first_timer_changed();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.runtime.scheduler.timers().cancel(id);
        }
    }
}
