//! The ways to crash. Each is undefined behaviour or a trap on purpose: what the hardware or
//! WebAssembly makes of it is what the cases look at.

use std::hint::black_box;
use std::num::NonZeroU32;

pub(crate) fn access_out_of_bounds() {
    let nowhere = std::ptr::without_provenance_mut::<u8>(black_box(usize::MAX - 15));
    // SAFETY: none: there is no memory, which is the point.
    unsafe { nowhere.write_volatile(1) };
}

pub(crate) fn overflow_the_stack() {
    fn deeper(n: u64) -> u64 {
        let room = black_box([n; 64]);
        if n == u64::MAX { 0 } else { black_box(deeper)(n + 1) + room[5] }
    }
    black_box(deeper(0));
}

pub(crate) fn divide_by_zero() {
    // SAFETY: none: a zero behind the compiler's back is what makes a bare division of it.
    let zero = black_box(unsafe { NonZeroU32::new_unchecked(black_box(0)) });
    black_box(black_box(1u32) / zero);
}

pub(crate) fn spin() -> ! {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Takes memory without end, a mebibyte per millisecond: where that is not limited, something else
/// has to end it before the machine has none left.
pub(crate) fn allocate() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![1u8; 1 << 20]));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
