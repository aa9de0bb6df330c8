//! Waiting for several things at once.

use crate::connection::HostListener;
use crate::object::Object;
use crate::pipe::PipeEnd;
use crate::process::HostProcess;
use crate::queue::HostQueue;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::{Error, PipeConnection, Result, Wait, Waitable};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// Something that can become ready.
pub(crate) enum Source {
    Queue(Arc<HostQueue>),
    Process(Arc<HostProcess>),
}

impl Source {
    /// What a guest's handle stands for here.
    pub(crate) fn of_object(object: &Object) -> Option<Source> {
        match object {
            Object::Queue(queue) => Some(Source::Queue(queue.clone())),
            Object::Pipe(end) => end.incoming().ok().map(|queue| Source::Queue(queue.clone())),
            Object::Listener(listener) => Some(Source::Queue(listener.backlog().clone())),
            Object::Process(process) => Some(Source::Process(process.clone())),
            Object::Lock(_) | Object::Semaphore(_) | Object::Event(_) => None,
        }
    }

    fn of_waitable(waitable: &Waitable) -> Result<Source> {
        fn own<T: Any + Send + Sync>(any: Arc<dyn Any + Send + Sync>) -> Result<Arc<T>> {
            any.downcast().map_err(|_| Error::ForeignHandle)
        }
        match waitable {
            Waitable::Queue(raw) => own(raw.clone()).map(Source::Queue),
            Waitable::Pipe(raw) => {
                own::<PipeEnd>(raw.clone())?.incoming().map(|queue| Source::Queue(queue.clone()))
            }
            Waitable::Process(raw) => own(raw.clone()).map(Source::Process),
            Waitable::Connection(raw) => {
                let PipeConnection(end) = &*own::<PipeConnection>(raw.clone())?;
                Source::of_waitable(&Waitable::Pipe(end.clone()))
            }
            Waitable::Listener(raw) => {
                Ok(Source::Queue(own::<HostListener>(raw.clone())?.backlog().clone()))
            }
            _ => Err(Error::ForeignHandle),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Source::Queue(queue) => queue.is_ready(),
            Source::Process(process) => process.status_now().is_some(),
        }
    }

    /// Whose runtime wakes it: the mark of its sandbox.
    fn runtime(&self) -> &Arc<Runtime> {
        match self {
            Source::Queue(queue) => &queue.runtime,
            Source::Process(process) => &process.runtime,
        }
    }

    fn event(&self) -> &WaitList {
        match self {
            Source::Queue(queue) => queue.watched(),
            Source::Process(process) => process.ended(),
        }
    }
}

fn ready_now(sources: &[Source]) -> Option<Result<Vec<usize>>> {
    let ready: Vec<usize> =
        sources.iter().enumerate().filter(|(_, s)| s.is_ready()).map(|(i, _)| i).collect();
    if ready.is_empty() { None } else { Some(Ok(ready)) }
}

/// The indices of those that are ready, as soon as there is one.
pub(crate) async fn until_ready(sources: &[Source]) -> Result<Vec<usize>> {
    loop {
        // Listen first, look then, so that nothing is missed in between.
        let mut listeners: Vec<_> = sources.iter().map(|s| s.event().listen()).collect();
        if let Some(ready) = ready_now(sources) {
            return ready;
        }
        poll_fn(|cx| {
            let woken = listeners.iter_mut().any(|l| Pin::new(l).poll(cx).is_ready());
            if woken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

pub(crate) fn block_until_ready(
    runtime: &Arc<Runtime>,
    those: &[Waitable],
    wait: Wait,
) -> Result<Vec<usize>> {
    let sources = those.iter().map(Source::of_waitable).collect::<Result<Vec<_>>>()?;
    if sources.iter().any(|source| !Arc::ptr_eq(source.runtime(), runtime)) {
        return Err(Error::ForeignHandle);
    }
    waiting::block(runtime, wait, || ready_now(&sources), || until_ready(&sources))
}
