//! Deadlocks of sandboxed processes, told on stderr.

use crate::status::say;
use procbox::observe::{Event, Subscriber, Subscription, subscribe_to_deadlocks};
use std::sync::Arc;

/// Tells of each from now on.
pub(super) fn begin() -> Subscription {
    subscribe_to_deadlocks(Arc::new(Says))
}

struct Says;

impl Subscriber for Says {
    fn event(&self, event: &Event<'_>) {
        if let Event::Deadlock { deadlock } = event {
            say(&deadlock.to_string());
        }
    }
}
