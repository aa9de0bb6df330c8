//! The atomics that `wait_list` is made of; its models have loom's instead.

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering, fence};
