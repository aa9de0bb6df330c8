//! Letting others look: what this process's contexts, pools and processes are at, for `procbox top`.
//!
//! A program that wants to be looked at says so by [`offer`]. Then it listens at a socket of its own in
//! the kernel's abstract namespace, which leaves no file behind, however it ends. Both sides ask the
//! kernel who the other is: a process tells nobody but its own user and root, and [`Running`] asks
//! nobody else. A connection is answered with one [`Snapshot`] as JSON, and closed.

mod offered;
mod proc;
mod running;
mod snapshot;
mod table;

pub use offered::{Offer, offer};
pub use running::{Running, running};
pub use snapshot::{ProcessView, Snapshot, Tasks, ThingView};

/// What the names of the sockets begin with; the user's id and the process's follow.
const PREFIX: &str = "procbox/watch/1";
