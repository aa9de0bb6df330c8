//! What a process makes anew that begins with the image of another.

use super::{context, sys};
use procbox_core::random::SystemRandom;
use procbox_core::runner::{call_reseed_hooks, place_of_keys, renew_key};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Not looked for yet.
const UNKNOWN: usize = usize::MAX;
/// Looked for, and not there.
const NOWHERE: usize = usize::MAX - 1;

/// Where the keys of `HashMap` are among the statics. It is looked for before an image is made, and
/// known in each process of it.
static PLACE: AtomicUsize = AtomicUsize::new(UNKNOWN);

/// The host calls it before it makes an image, and first in each process of one.
pub(super) fn reseed() {
    context::forget_identity();
    let statics = sys::statics();
    if PLACE.load(Ordering::Relaxed) == UNKNOWN {
        PLACE.store(place_of_keys(statics).unwrap_or(NOWHERE), Ordering::Relaxed);
    }
    if let Some(key) = statics.get(PLACE.load(Ordering::Relaxed)) {
        renew_key(key, &SystemRandom);
    }
    call_reseed_hooks();
}
