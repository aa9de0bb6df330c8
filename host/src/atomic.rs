//! The atomics that wait lists and the runtime are made of; their models have loom's instead.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
