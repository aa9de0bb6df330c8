//! Inside the sandbox: the backend whose primitives are imports of the host.

mod connection;
mod context;
mod entry;
mod identity;
mod image;
mod ledger;
mod primitives;
mod process;
mod ready;
mod region;
mod sys;

pub use entry::{Registered, enter, init};
pub use image::ready;
pub use inventory;

use context::GuestContext;
use procbox_abi::interrupt;
use procbox_core::{Context, Result, WeakContext};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Weak, so that the program's own clones decide when its processes are joined.
    static AMBIENT: RefCell<Option<WeakContext>> = const { RefCell::new(None) };
}

/// Says that this process answers Ctrl-C.
///
/// # Errors
/// None.
pub fn answer_ctrl_c() -> Result<()> {
    sys::self_interrupt(interrupt::ANSWER);
    Ok(())
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
///
/// # Errors
/// None.
pub fn context() -> Result<Context> {
    AMBIENT.with_borrow_mut(|ambient| {
        if let Some(context) = ambient.as_ref().and_then(WeakContext::upgrade) {
            return Ok(context);
        }
        let context = Context::from_raw(Arc::new(GuestContext));
        *ambient = Some(context.downgrade());
        Ok(context)
    })
}
