//! Inside the sandbox: the backend whose primitives are imports of the host.

mod connection;
mod context;
mod entry;
mod identity;
mod primitives;
mod process;
mod ready;
mod sys;

pub use entry::{Registered, enter, init};
pub use inventory;

use context::GuestContext;
use procbox_abi::interrupt;
use procbox_core::{Context, WeakContext};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Weak, so that the program's own clones decide when its processes are joined.
    static AMBIENT: RefCell<Option<WeakContext>> = const { RefCell::new(None) };
}

/// Says whether this process answers Ctrl-C.
pub fn answer_ctrl_c(yes: bool) {
    sys::self_interrupt(if yes { interrupt::ANSWER } else { interrupt::IGNORE });
}

/// Forgets a Ctrl-C.
pub fn clear_interrupt() {
    sys::self_interrupt(interrupt::CLEAR);
}

/// True if Ctrl-C has come.
pub fn interrupted() -> bool {
    sys::self_interrupt(interrupt::QUERY) == 1
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
