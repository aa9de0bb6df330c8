//! What single tasks of a pool may ask for.

use super::options::Asked;
use std::time::Duration;

/// The options of tasks that are to be treated otherwise than their pool says; [`Pool::with`] takes
/// them. What is not said here is as the pool was built.
///
/// ```no_run
/// # use procbox_core::TaskOptions;
/// # use std::time::Duration;
/// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
/// let background = pool.map_async(0..1_000_000u64)?;
/// let urgent = TaskOptions::new().priority(1).timeout(Duration::from_secs(1));
/// assert!(pool.with(urgent).apply((7u64,))?); // before what is left of the million
/// background.get()?;
/// # Ok(()) }
/// ```
///
/// [`Pool::with`]: crate::Pool::with
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskOptions(pub(super) Asked);

impl TaskOptions {
    /// Nothing but what the pool says: priority 0, and its own time, retries and processes.
    ///
    /// ```
    /// use procbox_core::TaskOptions;
    /// assert_eq!(TaskOptions::new(), TaskOptions::new().priority(0));
    /// ```
    pub fn new() -> TaskOptions {
        TaskOptions::default()
    }

    /// Tasks of a higher priority go before all of a lower one that no worker has begun; among equals, who
    /// came first. The default is 0, and what is below goes last. A running task is not interrupted. In
    /// a pool that has seen two priorities a worker has one task at hand beside the one that it is at, so
    /// short tasks cost more there.
    ///
    /// ```no_run
    /// # use procbox_core::TaskOptions;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let whenever = pool.with(TaskOptions::new().priority(-1)).apply_async((8u64,))?;
    /// assert!(pool.apply((7u64,))?);
    /// assert!(!whenever.get()?);
    /// # Ok(()) }
    /// ```
    pub fn priority(mut self, priority: i32) -> TaskOptions {
        self.0.priority = priority;
        self
    }

    /// The time that a worker may be at one of these tasks, in place of the pool's
    /// [`task_timeout`](crate::PoolBuilder::task_timeout), be it less or more. They travel one by one.
    /// Where workers are threads these tasks are refused with
    /// [`Error::Unsupported`](crate::Error::Unsupported): a thread cannot be ended.
    ///
    /// ```no_run
    /// # use procbox_core::{Limit, TaskOptions};
    /// # use std::time::Duration;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let quick = pool.with(TaskOptions::new().timeout(Duration::from_millis(100)));
    /// if let Err(procbox_core::Error::WorkerDied { status, .. }) = quick.apply((7u64,)) {
    ///     assert_eq!(status.limit(), Some(Limit::WallClock));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> TaskOptions {
        self.0.timeout = Some(timeout);
        self
    }

    /// How often a task whose worker died is run again, in place of the pool's
    /// [`retries`](crate::PoolBuilder::retries).
    ///
    /// ```no_run
    /// # use procbox_core::TaskOptions;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").retries(3).build()?;
    /// let once = pool.with(TaskOptions::new().retries(0)); // it is not idempotent
    /// once.apply((7u64,))?;
    /// # Ok(()) }
    /// ```
    pub fn retries(mut self, n: u32) -> TaskOptions {
        self.0.retries = Some(n);
        self
    }

    /// A new process for each of these tasks, which does nothing else; it takes the place of one of the
    /// pool's workers, which is there again afterwards. Costs the start of two processes. In a pool of
    /// [`fresh_per_task`](crate::PoolBuilder::fresh_per_task) that is so anyway.
    ///
    /// ```no_run
    /// # use procbox_core::TaskOptions;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let secret = pool.with(TaskOptions::new().fresh()).apply((7u64,))?; // nobody finds it in memory
    /// # drop(secret);
    /// # Ok(()) }
    /// ```
    pub fn fresh(mut self) -> TaskOptions {
        self.0.fresh = true;
        self
    }

    /// The most linear memory of each of these tasks, in bytes, where that is less than the context's
    /// limit. It has a process of its own then, as by [`TaskOptions::fresh`]. One that needs more is
    /// refused it, which most programs do not survive, and fails with its process. The embedding program's sandbox can do
    /// this; elsewhere these tasks are refused with [`Error::Unsupported`](crate::Error::Unsupported).
    ///
    /// ```no_run
    /// # use procbox_core::{Error, TaskOptions};
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// match pool.with(TaskOptions::new().memory(8 << 20)).apply((7u64,)) {
    ///     Err(Error::Unsupported(what)) => eprintln!("not here: {what}"),
    ///     end => assert!(end?),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn memory(mut self, bytes: usize) -> TaskOptions {
        self.0.memory = Some(bytes);
        self
    }
}
