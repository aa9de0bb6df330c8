//! The process itself: who it is, its program, and Ctrl-C.

use crate::listed::Listed;
use crate::state::State;
use procbox_core::raw::Identity;

/// The process's identity.
pub(crate) fn identity(state: &State) -> &Identity {
    &state.process.identity
}

/// The workers of its program.
pub(crate) fn workers(state: &State) -> &Listed {
    state.environment.workers()
}

/// The number of processes that run at once.
pub(crate) fn cpu_count(state: &State) -> usize {
    state.environment.cpu_count()
}

/// Has the process answer Ctrl-C, or be ended by it.
pub(crate) fn answer_interrupts(state: &State, yes: bool) {
    state.process.interrupt.answer(yes);
}

/// Clears the interrupt.
pub(crate) fn clear_interrupt(state: &State) {
    state.process.interrupt.clear();
}

/// True if there is an interrupt.
pub(crate) fn is_interrupted(state: &State) -> bool {
    state.process.interrupt.is_pending()
}
