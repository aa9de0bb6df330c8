//! A pool of worker processes: Python's, written once for every backend, and it survives its workers.
//!
//! From the ground up:
//!
//! 1. `options`, `task_options` (what single tasks ask for), `sink` (where the ends of tasks go); what
//!    pool and workers say to each other is `runner::wire`;
//! 2. `record`, `slot`, `backlog` and `state`, the bookkeeping: events in, actions out (`exchange`), and nothing
//!    else;
//! 3. `sides` (the contexts of its slots), `link` (a worker's process and queues), `waiters` (who drives), `background`, and `driver`,
//!    which does what the state says;
//! 4. `builder`, `result`, and the typed surface: `pool`, its `map` and its `stream` of results.

#[cfg(not(target_family = "wasm"))]
mod background;
mod backlog;
mod builder;
mod driver;
mod exchange;
mod link;
mod map;
mod options;
mod polled;
#[expect(clippy::module_inception, reason = "the typed surface is the pool")]
mod pool;
mod record;
mod result;
mod sides;
mod sink;
mod slot;
mod state;
mod stream;
mod task_options;
mod waiters;

pub use builder::{PoolBuilder, Serves};
pub use exchange::Counters;
pub use pool::Pool;
pub use result::TaskResult;
pub use stream::{AtHand, Bell, TaskResults};
pub use task_options::TaskOptions;
