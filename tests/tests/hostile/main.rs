//! Hostile programs: what each tries, what it gets, and that nobody else notices.
//!
//! A file is a class of attacks, most of them tables of [`frame::Attack`]: a program in the text
//! format and what must come of it. [`frame`] runs each in a sandbox of its own beside an honest
//! process of another tree, which answers before, during and after, and looks at this process's
//! memory, threads, files and children afterwards. What is generated (depth, width, size) is a
//! function from that number to a program.
//!
//! To add a class: a file, its `mod` line here, and its line in `docs/security.md`.

mod arguments;
mod fairness;
mod frame;
mod fuel;
mod heaps;
mod held;
mod limits;
mod memory;
mod modules;
mod pool;
mod processes;
mod repeats;
mod several;
mod traps;
mod warm;
mod wasi;
