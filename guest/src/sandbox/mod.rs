//! Inside the sandbox: the backend whose primitives are imports of the host.

mod context;
mod entry;
mod primitives;
mod process;
mod sys;

pub use entry::{Registered, enter, init};
pub use inventory;

use context::GuestContext;
use procbox_core::{Context, WeakContext};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Weak, so that the program's own clones decide when its processes are joined.
    static AMBIENT: RefCell<Option<WeakContext>> = const { RefCell::new(None) };
}

/// The ambient context.
pub fn context() -> Context {
    AMBIENT.with_borrow_mut(|ambient| {
        if let Some(context) = ambient.as_ref().and_then(WeakContext::upgrade) {
            return context;
        }
        let context = Context::from_raw(Arc::new(GuestContext));
        *ambient = Some(context.downgrade());
        context
    })
}
