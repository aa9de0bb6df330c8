//! Inside a process: the functions that are its workers, and how they serve a pool.
//!
//! For those who write the entry of a backend or of a guest; `#[worker]` of `procbox-guest` writes
//! the functions. `function` is one call of a worker, `wire` what a pool and its workers say to each
//! other, `serve` the worker's side of that, `foreign` the same for a program
//! that cannot do it itself, `name` which worker a name asks for.

mod foreign;
mod function;
pub(crate) mod name;
mod reseed;
mod serve;
pub(crate) mod wire;

pub use foreign::{Chunk, Ends, byte_string, chunks_of, with_handles};
pub use function::{
    AsResult, AsValue, Call, Ended, EndsAsResult, EndsAsValue, Fallible, Function, Outcome, end_of,
    end_of_result,
};
pub use name::{find_worker, find_worker_briefly, listed_workers};
pub use reseed::{call_reseed_hooks, on_reseed, place_of_keys, renew_key};
pub(crate) use serve::Terms;
pub use serve::{panicked, serve};
pub use wire::TaskEnd;
