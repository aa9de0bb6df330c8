//! The front end for components: the interfaces `procbox:worker` of a sandboxed program.
//!
//! Normative text: `wit/procbox-worker.wit`; explained in `docs/components.md`. A resource is a handle of
//! the process's table: its number is what the component model keeps for us, in a table that the guest
//! cannot write to.

mod bindings;
mod handles;
mod log;
mod primitives;

pub(crate) use handles::hand_out;

use crate::state::State;
use bindings::procbox::worker;
use wasmtime::component::{HasSelf, Linker};

/// The package of the interfaces.
pub(crate) const PACKAGE: &str = "procbox:worker/";
/// The interfaces in it that are linked, without package and version.
pub(crate) const INTERFACES: &[&str] = &["log", "primitives"];

/// Adds the interfaces to what a component may import.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    worker::primitives::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    worker::log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}
