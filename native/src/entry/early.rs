//! The entry before `main`: the loader calls it in every program that procbox is linked into.
//!
//! It stands in `.init_array`, among the program's constructors. In a process that is not to become a
//! zygote it looks for one variable and returns. In a zygote it calls the constructors that come after
//! it, as the loader would have done, and then stays.
//!
//! What may be used there: the C library is ready, so that system calls, memory and the environment
//! are, and what of std rests on them alone. The runtime of `main` is not: it has not ignored SIGPIPE,
//! has no handler for stack overflows and has not named the thread, whose panics are of `<unnamed>`.
//! `enter` does the first; the second is not wanted, a worker's overflow is to be a signal 11.

use crate::start::request::ENVIRONMENT;
use std::ffi::{CStr, c_char, c_int};

/// The form of a constructor: the C library passes what `main` is passed.
type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
// SAFETY: the section is of pointers to such functions, which the loader calls one after another.
#[unsafe(link_section = ".init_array")]
static EARLY: Constructor = early;

extern "C" fn early(argc: c_int, argv: *const *const c_char, environment: *const *const c_char) {
    // Other C libraries than GNU's pass nothing.
    #[cfg(not(target_env = "gnu"))]
    let (argc, argv, environment) = (0, std::ptr::null(), std::ptr::null());
    if !is_zygote(environment) {
        return;
    }
    call_later_ones(argc, argv, environment);
    super::enter();
}

/// Looked at, so that the linker keeps it.
pub(crate) fn keep() {
    std::hint::black_box(&EARLY);
}

/// Whether the variable is there. Not by std, which a process that goes on to `main` need not wake.
fn is_zygote(environment: *const *const c_char) -> bool {
    let mut at = environment;
    if at.is_null() {
        return std::env::var_os(ENVIRONMENT).is_some();
    }
    // SAFETY: it is the array that the C library passes, of texts, ended by a null.
    while let Some(variable) = unsafe { at.read().as_ref() } {
        // SAFETY: the same.
        let text = unsafe { CStr::from_ptr(variable) }.to_bytes();
        if text.strip_prefix(ENVIRONMENT.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")) {
            return true;
        }
        // SAFETY: this one was not the last.
        at = unsafe { at.add(1) };
    }
    false
}

/// Calls the constructors of the program that the loader would call after this one: a worker finds
/// what they set up, wherever the linker has put them.
fn call_later_ones(argc: c_int, argv: *const *const c_char, environment: *const *const c_char) {
    let Some((first, count)) = constructors() else { return };
    // SAFETY: the loader has relocated the array and keeps it.
    let all = unsafe { std::slice::from_raw_parts(first, count) };
    // In a shared library this one is not among the program's.
    let mine = all.iter().position(|&address| address == early as *const () as usize);
    let Some(mine) = mine else { return };
    for &address in &all[mine + 1..] {
        // The linker marks places that hold nothing.
        if address != 0 && address != usize::MAX {
            // SAFETY: it is an entry of the array of constructors, which the loader was to call next.
            let constructor = unsafe { std::mem::transmute::<usize, Constructor>(address) };
            constructor(argc, argv, environment);
        }
    }
}

/// An entry of the array by which a program tells the loader about itself.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

/// The program's array of constructors, as its own headers say; `None` if they do not.
fn constructors() -> Option<(*const usize, usize)> {
    use nix::libc::{AT_PHDR, AT_PHNUM, Elf64_Phdr, PT_DYNAMIC, PT_PHDR, getauxval};
    const DT_NULL: i64 = 0;
    const DT_INIT_ARRAY: i64 = 25;
    const DT_INIT_ARRAYSZ: i64 = 27;
    // SAFETY: the kernel puts address and count of the program's headers there.
    let headers: &[Elf64_Phdr] = unsafe {
        let (at, count) = (getauxval(AT_PHDR) as *const Elf64_Phdr, getauxval(AT_PHNUM));
        if at.is_null() {
            return None;
        }
        std::slice::from_raw_parts(at, count as usize)
    };
    let of = |kind| headers.iter().find(|header| header.p_type == kind);
    // How far from its addresses the program is loaded; a program without this line is where it says.
    let base = of(PT_PHDR).map_or(0, |own| headers.as_ptr() as usize - own.p_vaddr as usize);
    let mut entry = (base + of(PT_DYNAMIC)?.p_vaddr as usize) as *const Dynamic;
    let (mut first, mut bytes) = (None, None);
    loop {
        // SAFETY: the array goes on until the entry of this kind.
        let Dynamic { tag, value } = unsafe { entry.read() };
        match tag {
            DT_NULL => break,
            DT_INIT_ARRAY => first = Some((base + value) as *const usize),
            DT_INIT_ARRAYSZ => bytes = Some(value),
            _ => {}
        }
        // SAFETY: this one was not the last.
        entry = unsafe { entry.add(1) };
    }
    Some((first?, bytes? / size_of::<usize>()))
}
