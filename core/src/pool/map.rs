//! `map` and its variants: many inputs, cut into chunks, and one list of results.

use super::pool::Pool;
use super::result::TaskResult;
use super::sink::{Callback, Gather};
use crate::Result;
use crate::runner::wire::Tasks;
use crate::worker::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

impl<P, R: DeserializeOwned + Send + 'static> Pool<P, R> {
    /// Runs a task per input, each the single argument of the worker, and waits for all results, in
    /// the order of the inputs. Inputs are taken as the workers get to them.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// assert_eq!(pool.map([7u64, 8, 9])?, [true, false, false]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The first error among the results, by input order, once all tasks have ended.
    pub fn map<I>(&self, inputs: I) -> Result<Vec<R>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.starmap(inputs.into_iter().map(|item| (item,)))
    }

    /// Like [`Pool::map`], with a tuple of arguments per input.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool::<(u64, u64), u64>("primes_between").build()?;
    /// assert_eq!(pool.starmap([(0u64, 10u64), (10, 20)])?, [4, 4]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Pool::map`].
    pub fn starmap<I>(&self, inputs: I) -> Result<Vec<R>>
    where
        I: IntoIterator,
        I::Item: Args<P>,
    {
        let gather = self.gather(inputs.into_iter(), None, || self.driver.wait_for_room())?;
        TaskResult::new(self.driver.clone(), gather).get()
    }

    /// Like [`Pool::map`], without waiting. All inputs are taken at once.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let flags = pool.map_async(0..1000u64)?;
    /// println!("meanwhile");
    /// assert_eq!(flags.get()?.into_iter().filter(|&prime| prime).count(), 168);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::PoolClosed`], [`crate::Error::PoolBroken`], [`crate::Error::Encode`].
    pub fn map_async<I>(&self, inputs: I) -> Result<TaskResult<Vec<R>>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.starmap_async(inputs.into_iter().map(|item| (item,)))
    }

    /// Like [`Pool::map_async`]; `then` is called as in [`Pool::apply_async_with`].
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let flags = pool.map_async_with(0..1000u64, |end| {
    ///     println!("{} are done", end.as_ref().map_or(0, Vec::len));
    /// })?;
    /// assert_eq!(flags.get()?.len(), 1000);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Pool::map_async`].
    pub fn map_async_with<I>(
        &self,
        inputs: I,
        then: impl FnOnce(&Result<Vec<R>>) + Send + 'static,
    ) -> Result<TaskResult<Vec<R>>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.starmap_async_with(inputs.into_iter().map(|item| (item,)), then)
    }

    /// Like [`Pool::starmap`], without waiting. All inputs are taken at once.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64, u64), u64>) -> procbox_core::Result<()> {
    /// let counts = pool.starmap_async((0..100u64).map(|n| (n * 1000, (n + 1) * 1000)))?;
    /// println!("{} primes below 100,000", counts.get()?.iter().sum::<u64>());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Pool::map_async`].
    pub fn starmap_async<I>(&self, inputs: I) -> Result<TaskResult<Vec<R>>>
    where
        I: IntoIterator,
        I::Item: Args<P>,
    {
        self.gather_async(inputs.into_iter(), None)
    }

    /// Like [`Pool::starmap_async`]; `then` is called as in [`Pool::apply_async_with`].
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64, u64), u64>) -> procbox_core::Result<()> {
    /// let tell = |end: &procbox_core::Result<Vec<u64>>| println!("{end:?}");
    /// pool.starmap_async_with([(0u64, 10u64), (10, 20)], tell)?.get()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Pool::map_async`].
    pub fn starmap_async_with<I>(
        &self,
        inputs: I,
        then: impl FnOnce(&Result<Vec<R>>) + Send + 'static,
    ) -> Result<TaskResult<Vec<R>>>
    where
        I: IntoIterator,
        I::Item: Args<P>,
    {
        self.gather_async(inputs.into_iter(), Some(Box::new(then)))
    }

    fn gather_async(
        &self,
        inputs: impl Iterator<Item: Serialize>,
        then: Option<Callback<Vec<R>>>,
    ) -> Result<TaskResult<Vec<R>>> {
        let gather = self.gather(inputs, then, || Ok(()))?;
        self.driver.drive_in_background();
        Ok(TaskResult::new(self.driver.clone(), gather))
    }

    /// Hands in all inputs, chunk by chunk; `pause` is called after each.
    fn gather(
        &self,
        inputs: impl Iterator<Item: Serialize>,
        then: Option<Callback<Vec<R>>>,
        pause: impl Fn() -> Result<()>,
    ) -> Result<Arc<Gather<R>>> {
        let about = inputs.size_hint().0;
        let gather = Arc::new(Gather::new(about, then));
        let worker = self.call.worker.as_deref();
        let mut chunks = Chunks::new(inputs, worker, self.driver.chunk_for(about, &self.call));
        while let Some((base, tasks)) = chunks.next_chunk()? {
            gather.expect(tasks.len());
            self.driver.submit(tasks, gather.clone(), base, &self.call)?;
            pause()?;
        }
        gather.seal();
        Ok(gather)
    }
}

/// Cuts an iterator of argument tuples into encoded chunks.
struct Chunks<'a, I> {
    inputs: I,
    worker: Option<&'a str>,
    size: usize,
    at: usize,
    /// The bytes of the last one, which the next will need too.
    room: usize,
}

impl<'a, I: Iterator<Item: Serialize>> Chunks<'a, I> {
    fn new(inputs: I, worker: Option<&'a str>, size: usize) -> Chunks<'a, I> {
        Chunks { inputs, worker, size, at: 0, room: 0 }
    }

    fn next_chunk(&mut self) -> Result<Option<(usize, Tasks)>> {
        let mut tasks = Tasks::with_room(self.worker, self.room);
        for arguments in self.inputs.by_ref().take(self.size) {
            tasks.push(&arguments)?;
        }
        let base = self.at;
        self.at += tasks.len();
        self.room = tasks.bytes();
        Ok(if tasks.is_empty() { None } else { Some((base, tasks)) })
    }
}
