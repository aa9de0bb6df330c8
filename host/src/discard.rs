//! Letting go of what a message's handles stand for, without recursion.
//!
//! A message may carry the last handle of a queue, in which there is a message that carries the last
//! handle of another, and so on: a guest decides how deep. Dropped as Rust drops them, each level
//! would stand on the stack of the one above. So who drops the first empties a list that those
//! below only add to, and the depth of the stack is the same for any depth of handles.

use std::cell::RefCell;

/// What this thread has still to drop; `None` while it is not dropping.
type Pending = RefCell<Option<Vec<Box<dyn Send>>>>;

thread_local! {
    static PENDING: Pending = const { RefCell::new(None) };
}

/// Drops something, and after it what it was the last to hold.
pub(crate) fn discard<T: Send + 'static>(what: T) {
    let mut what = Some(what);
    let first = PENDING.try_with(|pending| {
        let mut pending = pending.borrow_mut();
        match &mut *pending {
            Some(list) => {
                list.extend(what.take().map(|what| Box::new(what) as Box<dyn Send>));
                false
            }
            none => {
                *none = Some(Vec::new());
                true
            }
        }
    });
    match first {
        Ok(true) => {
            let _done = Done;
            drop(what);
            while let Some(next) = next() {
                drop(next);
            }
        }
        Ok(false) => {}
        // The thread is ending and has lost its list. Better kept for ever than dropped on each
        // other's stack.
        Err(_) => std::mem::forget(what),
    }
}

fn next() -> Option<Box<dyn Send>> {
    PENDING.try_with(|pending| pending.borrow_mut().as_mut().and_then(Vec::pop)).ok().flatten()
}

/// The end of the dropping, also by a panic: the next one begins anew.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        let rest = PENDING.try_with(|pending| pending.borrow_mut().take());
        // There is none but after a panic; then nothing is touched any more.
        rest.into_iter().flatten().filter(|rest| !rest.is_empty()).for_each(std::mem::forget);
    }
}

#[cfg(test)]
mod tests {
    use crate::account::Account;
    use crate::message::Body;
    use crate::object::{Object, Stored};
    use crate::pipe::PipeEnd;
    use crate::queue;
    use crate::runtime::Runtime;
    use crate::tree_limits::TreeLimits;
    use procbox_core::raw::Bounds;
    use std::sync::Arc;

    /// Far more than any stack has room for.
    const LEVELS: usize = 100_000;

    fn runtime() -> Arc<Runtime> {
        Runtime::threads(1, Box::new(|| {}))
    }

    fn message(object: Object) -> Stored {
        Stored { body: Body::default(), objects: vec![object] }
    }

    /// On a stack on which a hundred levels would be too many.
    fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(64 << 10).spawn(test).unwrap().join().unwrap();
    }

    #[test]
    fn a_hundred_thousand_queues_in_queues_are_dropped_on_a_small_stack() {
        on_a_small_stack(|| {
            let runtime = runtime();
            let account = Account::of_tree(&TreeLimits::new().memory(1 << 40));
            let new = || queue::new(runtime.clone(), account.clone(), Bounds::DEFAULT).unwrap();
            let mut outermost = new();
            let watched = Arc::downgrade(&outermost);
            for _ in 0..LEVELS {
                let outer = new();
                let put = outer.try_put(&mut Some(message(Object::Queue(outermost))));
                assert_eq!(put, Some(Ok(())));
                outermost = outer;
            }
            assert_eq!(watched.strong_count(), 1);
            drop(outermost);
            assert_eq!(watched.strong_count(), 0);
        });
    }

    #[test]
    fn a_hundred_thousand_pipes_in_pipes_are_dropped_on_a_small_stack() {
        on_a_small_stack(|| {
            let runtime = runtime();
            let account = Account::of_tree(&TreeLimits::new().memory(1 << 40));
            let (mut ours, theirs) = PipeEnd::pair(&runtime, &account, true).unwrap();
            let innermost = Arc::downgrade(&theirs);
            let mut kept = theirs;
            for _ in 0..LEVELS {
                let (receiver, sender) = PipeEnd::pair(&runtime, &account, true).unwrap();
                for end in [kept, ours] {
                    let put =
                        sender.outgoing().unwrap().try_put(&mut Some(message(Object::Pipe(end))));
                    assert_eq!(put, Some(Ok(())));
                }
                (kept, ours) = (receiver, sender);
            }
            drop((kept, ours));
            assert_eq!(innermost.strong_count(), 0);
        });
    }
}
