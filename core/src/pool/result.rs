//! The result of a task, or of a `map`, that may still be to come.

use super::driver::Driver;
use super::polled;
use super::sink::Promise;
use crate::{Error, Result, TaskUsage, Wait};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A result that may not be there yet.
///
/// ```no_run
/// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
/// let result = pool.apply_async((7u64,))?;
/// if !result.wait(std::time::Duration::from_secs(1))? {
///     println!("not yet");
/// }
/// assert!(result.get()?);
/// # Ok(()) }
/// ```
pub struct TaskResult<R> {
    driver: Arc<Driver>,
    promise: Arc<dyn Promise<R>>,
}

impl<R> TaskResult<R> {
    pub(super) fn new(driver: Arc<Driver>, promise: Arc<dyn Promise<R>>) -> TaskResult<R> {
        TaskResult { driver, promise }
    }

    /// Waits for the result and takes it.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// assert!(result.get()?);
    /// assert_eq!(result.get(), Err(Error::Closed)); // it was taken
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The task's error; [`Error::Interrupted`] on Ctrl-C; [`Error::Closed`] if it was taken before.
    pub fn get(&self) -> Result<R> {
        self.take(Wait::Forever)
    }

    /// Like [`TaskResult::get`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// match result.get_timeout(Duration::from_secs(1)) {
    ///     Err(Error::TimedOut) => println!("not yet; it can be asked for again"),
    ///     end => println!("7 is a prime: {}", end?),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`TaskResult::get`], and [`Error::TimedOut`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<R> {
        self.take(Wait::AtMost(timeout))
    }

    fn take(&self, wait: Wait) -> Result<R> {
        self.driver.drive_until(&|| self.promise.is_ready(), wait)?;
        self.promise.take().unwrap_or(Err(Error::Closed))
    }

    /// Waits until the result is there, at most `timeout`, and says whether it is.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// while !result.wait(Duration::from_secs(1))? {
    ///     println!("still waiting");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        match self.driver.drive_until(&|| self.promise.is_ready(), Wait::AtMost(timeout)) {
            Ok(()) => Ok(true),
            Err(Error::TimedOut) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// `true` if the result is there.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// if result.wait(Duration::from_secs(1))? {
    ///     assert!(result.ready()); // so `get` does not wait
    /// }
    /// # Ok(()) }
    /// ```
    pub fn ready(&self) -> bool {
        self.promise.is_ready()
    }

    /// `Some(true)` if the task went well; `None` while it runs, and after the result was taken.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// if result.wait(Duration::from_secs(1))? {
    ///     assert_eq!(result.successful(), Some(true));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn successful(&self) -> Option<bool> {
        self.promise.peek()
    }

    /// Ends the task, or what has not ended of a `map`, with [`Error::Cancelled`], and says whether there
    /// was something to end. One that no worker has begun is taken back. If one is at it, that worker is
    /// killed and replaced, and loses no other task; a worker whose initializer may still run is, too.
    /// An ended task stays as it is.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// if result.cancel() {
    ///     assert_eq!(result.get(), Err(Error::Cancelled));
    /// } else {
    ///     assert!(result.get()?); // it had ended
    /// }
    /// # Ok(()) }
    /// ```
    pub fn cancel(&self) -> bool {
        self.driver.cancel(Arc::as_ptr(&self.promise).cast())
    }

    /// What the task has used, or all tasks of a `map` together, once the result is there; also if it
    /// failed, and after it was taken. `None` if its pool does not
    /// [measure](crate::PoolBuilder::measured) that, and for a task that was not begun.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").measured().build()?;
    /// let flags = pool.map_async(0..100u64)?;
    /// flags.get()?;
    /// println!("{:?}", flags.usage().and_then(|usage| usage.cpu_time));
    /// # Ok(()) }
    /// ```
    pub fn usage(&self) -> Option<TaskUsage> {
        self.promise.used()
    }
}

/// A result that is polled for: [`TaskResult::get`] without a thread that waits. What moves the tasks
/// meanwhile is a thread of the pool's. A future that is dropped does not end the task; to be able to
/// [cancel](TaskResult::cancel) a task that is waited for, await a reference to its result.
///
/// Inside a sandboxed process, and in a simulation, the poll blocks.
///
/// ```no_run
/// # async fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
/// assert!(pool.apply_async((7u64,))?.await?);
/// let flags: Vec<bool> = pool.map_async(0..100u64)?.await?;
/// # drop(flags);
/// # Ok(()) }
/// ```
impl<R: Send + 'static> IntoFuture for TaskResult<R> {
    type Output = Result<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<R>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { polled::result(&self.driver, &*self.promise).await })
    }
}

/// As above, of a result that is kept.
///
/// ```no_run
/// # async fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
/// let result = pool.apply_async((7u64,))?;
/// assert!((&result).await?);
/// println!("{:?}", result.usage());
/// # Ok(()) }
/// ```
impl<'a, R: Send + 'static> IntoFuture for &'a TaskResult<R> {
    type Output = Result<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<R>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(polled::result(&self.driver, &*self.promise))
    }
}

impl<R> fmt::Debug for TaskResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskResult(ready: {})", self.ready())
    }
}
