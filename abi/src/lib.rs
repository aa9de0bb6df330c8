//! The guest ABI of procbox, version 1, in numbers, names and layouts: no code runs here.
//!
//! A host links these functions under these names, a guest imports them, a macro exports workers
//! under this prefix, and a tool reads this section: each takes what it needs from here, so that no
//! two of them can differ. `guest/include/procbox.h` says the same in C, and a test of this crate
//! compares the two, both ways. docs/guest-abi.md explains what the functions do.
//!
//! - [`MODULE`], [`WORKER_PREFIX`], [`SECTION`]: what things are called;
//! - [`code`], [`kind`], [`mode`], [`start`], [`flag`], [`limit`], [`interrupt`], [`max`]: numbers;
//! - [`Start`], [`Status`], [`Sizes`], [`Received`], [`QueueBounds`], [`Identity`]: structures in
//!   the guest's memory;
//! - [`IMPORTS`]: all functions, with the types of their parameters;
//! - [`lines`] and [`Line`]: what a program says that it offers.
//!
//! Within a version things are added, never changed. A version that breaks a program has another
//! [`MODULE`].
//!
//! ```
//! let import = procbox_abi::IMPORTS.iter().find(|import| import.name == "lock_acquire");
//! assert!(import.is_some_and(|import| import.waits()));
//! assert_eq!(procbox_abi::code::TIMED_OUT, -1);
//! ```

#![no_std]

mod import;
mod layout;
mod name;
mod number;
mod section;

#[cfg(target_arch = "wasm32")]
pub use import::imports;
pub use import::{IMPORTS, Import, MODULE, Parameter, ValueType};
pub use layout::{
    Field, Identity, LAYOUTS, Layout, LedgerPage, Pointer, QueueBounds, Received, Sizes, Start,
    Status,
};
pub use name::{MAIN, MEMORY, NAMES, RESEED, RESUME, SECTION, Text, WORKER_PREFIX};
pub use number::{
    NUMBERS, Number, atomic, code, exit_code, flag, interrupt, kind, limit, max, mode, start,
};
pub use section::{Line, lines};
