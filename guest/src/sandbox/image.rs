//! Images: how a process says that it is ready for one, and how one begins that has another's.

use super::{context, init, sys};
use procbox_core::random::SystemRandom;
use procbox_core::runner::{call_reseed_hooks, place_of_keys, renew_key};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// Where `main` goes on in each process of the image.
static GO_ON: Mutex<Option<fn()>> = Mutex::new(None);

/// Says that an image can be made; where one is made it does not come back.
pub fn ready(go_on: fn()) {
    *GO_ON.lock().unwrap_or_else(PoisonError::into_inner) = Some(go_on);
    sys::snapshot();
}

/// The `main` of a process of the image.
pub(super) fn resume() {
    init();
    let go_on = *GO_ON.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(go_on) = go_on else {
        eprintln!("error: the program's `main` is over in this image: it did not call `snapshot`");
        std::process::exit(1);
    };
    go_on();
    // Nothing is left to do about a stdout that is gone.
    let _ = std::io::stdout().flush();
}
