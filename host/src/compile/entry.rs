//! The compiler, on its own side: this very program, executed once more for one module.
//!
//! The loader calls [`early`] among the program's constructors, before `main`. In a process that is no
//! compiler it looks for one variable and returns. In one that is, it compiles the module that it has
//! as its standard input, writes what that comes to as its standard output, says on standard error how
//! it went, and ends: nothing of the program's own runs. What may be used before `main` is what rests on
//! the C library, and that is all that a compiler needs.

use super::Settings;
use super::work::{self, Work};
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use std::ffi::{CStr, c_char, c_int};
use std::io::{Read, Write};

/// The variable that says that a process is to be a compiler, and how.
pub(super) const ENVIRONMENT: &str = "PROCBOX_COMPILE";
/// What a compiler says first.
pub(super) const HELLO: &[u8] = b"procbox\n";
/// What it says at the end, if the module is valid and compiled.
pub(super) const DONE: &[u8] = b"done";
/// What it says at the end, before the reason, if the module is not valid.
pub(super) const INVALID: &[u8] = b"invalid ";

/// What a compiler is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) work: Work,
    pub(super) settings: Settings,
    /// Bytes of an image that is mapped.
    pub(super) image: u64,
    /// Seconds of CPU time.
    pub(super) time: u64,
    /// Bytes of memory.
    pub(super) memory: u64,
    /// Bytes of what it comes to.
    pub(super) result: u64,
    /// Who gave them.
    pub(super) parent: u32,
}

impl Orders {
    pub(super) fn to_text(self) -> String {
        let [fuel, simulated, reservation] = self.settings.to_numbers();
        let Orders { image, time, memory, result, parent, .. } = self;
        let work = self.work.to_number();
        format!("{work} {fuel} {simulated} {reservation} {image} {time} {memory} {result} {parent}")
    }

    fn from_text(text: &str) -> Option<Orders> {
        let numbers: Vec<u64> = text.split(' ').map_while(|word| word.parse().ok()).collect();
        let [work, fuel, simulated, reservation, image, time, memory, result, parent] =
            numbers.try_into().ok()?;
        let work = Work::from_number(work)?;
        let settings = Settings::from_numbers([fuel, simulated, reservation]);
        let parent = u32::try_from(parent).ok()?;
        Some(Orders { work, settings, image, time, memory, result, parent })
    }
}

/// The form of a constructor: the C library passes what `main` is passed.
type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
// SAFETY: the section is of pointers to such functions, which the loader calls one after another.
#[unsafe(link_section = ".init_array")]
static EARLY: Constructor = early;

extern "C" fn early(_: c_int, _: *const *const c_char, environment: *const *const c_char) {
    if is_compiler(environment) {
        let code = match std::env::var(ENVIRONMENT).ok().and_then(|text| Orders::from_text(&text)) {
            Some(orders) => run(orders),
            None => 2,
        };
        // SAFETY: it has no preconditions. The program's own exit handlers are not for a compiler.
        unsafe { libc::_exit(code) };
    }
}

/// Whether the variable is there. Not by std, which a process that goes on to `main` need not wake.
fn is_compiler(environment: *const *const c_char) -> bool {
    // Other C libraries than GNU's pass nothing.
    if cfg!(not(target_env = "gnu")) || environment.is_null() {
        return std::env::var_os(ENVIRONMENT).is_some();
    }
    let mut at = environment;
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

/// True if the loader calls [`early`] in the program that this process executes, and not in a library
/// that some other program has loaded.
pub(super) fn is_of_the_program() -> bool {
    // Looked at, so that the linker keeps it.
    std::hint::black_box(&EARLY);
    let own = early as *const () as usize;
    // SAFETY: the kernel puts address and count of the program's headers there.
    let headers: &[libc::Elf64_Phdr] = unsafe {
        let at = libc::getauxval(libc::AT_PHDR) as *const libc::Elf64_Phdr;
        if at.is_null() {
            return false;
        }
        std::slice::from_raw_parts(at, libc::getauxval(libc::AT_PHNUM) as usize)
    };
    // How far from its addresses the program is loaded; a program without this line is where it says.
    let table = headers.iter().find(|header| header.p_type == libc::PT_PHDR);
    let base = table.map_or(0, |table| headers.as_ptr() as usize - table.p_vaddr as usize);
    headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
        let from = base + header.p_vaddr as usize;
        (from..from + header.p_memsz as usize).contains(&own)
    })
}

/// Compiles; the status to end with.
fn run(orders: Orders) -> i32 {
    // Whoever gave the orders is gone, or nobody gave them.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || parent() != orders.parent {
        return 2;
    }
    let _ = prctl::set_name(c"procbox-compile");
    std::panic::set_hook(Box::new(|panic| {
        let _ = write!(std::io::stderr(), "{panic}");
        // SAFETY: it has no preconditions. Nothing is to be unwound or traced: there may be no memory
        // left to do it with, and other threads would wait for the one that panics.
        unsafe { libc::_exit(2) };
    }));
    let mut said = std::io::stderr();
    if !limit(orders) || said.write_all(HELLO).is_err() {
        return 2;
    }
    match perform(orders) {
        Ok(()) => i32::from(said.write_all(DONE).is_err()),
        Err(why) => {
            let _ = said.write_all(&[INVALID, why.as_bytes()].concat());
            1
        }
    }
}

fn parent() -> u32 {
    nix::unistd::getppid().as_raw().cast_unsigned()
}

/// Takes the limits upon itself: from here on nothing can undo them.
fn limit(orders: Orders) -> bool {
    let Orders { time, memory, result, .. } = orders;
    // What the program has before it begins is not the module's.
    let memory = memory.saturating_add(data());
    prctl::set_no_new_privs().is_ok()
        && [
            (Resource::RLIMIT_CORE, 0, 0),
            (Resource::RLIMIT_FSIZE, result, result),
            (Resource::RLIMIT_DATA, memory, memory),
            // The second ends it should the first one's signal be ignored.
            (Resource::RLIMIT_CPU, time, time + 1),
        ]
        .into_iter()
        .all(|(resource, soft, hard)| {
            // What its parent may not have it can not take.
            let most = getrlimit(resource).map_or(hard, |(_, most)| most);
            setrlimit(resource, soft.min(most), hard.min(most)).is_ok()
        })
}

/// Bytes of data and stack that this process has now.
fn data() -> u64 {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(5).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
}

/// From standard input to standard output, as the file that both are.
fn perform(orders: Orders) -> Result<(), String> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).map_err(|e| e.to_string())?;
    let done = work::perform(orders.work, orders.settings, orders.image, &input)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&done).and_then(|()| out.flush()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_arrive_as_they_were_given() {
        let settings = Settings { fuel: true, simulated: false, reservation: 4 << 30 };
        let (work, memory) = (Work::Rewrite, u64::MAX);
        let orders = Orders { work, settings, image: 3, time: 5, memory, result: 9, parent: 7 };
        assert_eq!(Orders::from_text(&orders.to_text()), Some(orders));
        for text in [
            "",
            "1 2 3",
            "1 1 0 1 1 1 1 1 x",
            "1 1 0 1 1 1 1 1 1 1",
            "1 1 0 1 1 1 1 1 4294967296",
            "4 1 0 1 1 1 1 1 1",
        ] {
            assert_eq!(Orders::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_among_the_constructors_of_this_program() {
        assert!(is_of_the_program());
    }
}
