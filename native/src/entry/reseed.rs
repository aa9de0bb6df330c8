//! What the processes of a zygote make anew that has run a worker before it forked them.

use nix::libc;
use procbox_core::random::SystemRandom;
use procbox_core::runner::{call_reseed_hooks, place_of_keys, renew_key};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// True in such a zygote, and in what it forks.
static IS_WARM: AtomicBool = AtomicBool::new(false);
/// Where the main thread's keys of `HashMap` are; null if that is not known.
static PLACE: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// In the zygote, when the worker has returned.
pub(super) fn find() {
    IS_WARM.store(true, Ordering::Relaxed);
    if let Some(place) = thread_locals().and_then(|words| Some(&words[place_of_keys(words)?])) {
        PLACE.store(std::ptr::from_ref(place).cast_mut(), Ordering::Relaxed);
    }
    reseed();
}

/// In each process, first of all.
pub(super) fn reseed() {
    if !IS_WARM.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: it points at a thread-local of the one thread that there is, which lives as long.
    if let Some(key) = unsafe { PLACE.load(Ordering::Relaxed).as_ref() } {
        renew_key(key, &SystemRandom);
    }
    call_reseed_hooks();
}

/// The calling thread's thread-locals of the program itself, std's among them.
fn thread_locals() -> Option<&'static [AtomicU64]> {
    let mut found: Option<(usize, usize)> = None;
    // SAFETY: it calls `note` with what is valid during the call, and with this pointer.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut found).cast()) };
    let (from, bytes) = found?;
    let first = from.next_multiple_of(align_of::<AtomicU64>());
    let count = bytes.checked_sub(first - from)? / size_of::<AtomicU64>();
    // SAFETY: the loader says that this is the thread's memory, which is whole words; nobody else
    // touches it, and the thread lives as long as the process.
    Some(unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(first), count) })
}

/// Notes where the program's own thread-locals are, which is what the loader tells first.
unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: the loader passes what is valid during the call, and our own pointer.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Option<(usize, usize)>>()) };
    // SAFETY: these are that object's headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let of_threads = headers.iter().find(|header| header.p_type == libc::PT_TLS);
    if let Some(header) = of_threads
        && !info.dlpi_tls_data.is_null()
    {
        *found = Some((info.dlpi_tls_data.addr(), header.p_memsz as usize));
        std::hint::black_box(info.dlpi_tls_data.expose_provenance());
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn the_keys_of_maps_are_found_and_made_anew() {
        let words = thread_locals().expect("the loader tells of them");
        let place = place_of_keys(words).expect("the keys are among them");
        let old = words[place].load(Ordering::Relaxed);
        renew_key(&words[place], &SystemRandom);
        let new = words[place].load(Ordering::Relaxed);
        assert_ne!(old, new);
        RandomState::new().hash_one(1);
        assert_eq!(words[place].load(Ordering::Relaxed), new.wrapping_add(1));
    }
}
