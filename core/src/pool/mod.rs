//! A pool of worker processes: Python's, written once for every backend, and it survives its workers.
//!
//! The parts: `wire` is what pool and workers say to each other, `serve` the worker's side, `slot`
//! one worker as the pool sees it, `engine` the bookkeeping of tasks, `drive` which thread does it,
//! `heal` what happens when a worker dies, `result` and `stream` what callers hold. This file is the
//! typed surface.
//!
//! There is no thread that must run for tasks to move: whoever waits for a result drives the
//! engine (a wake of another thread costs more than a task).

#[cfg(not(target_family = "wasm"))]
mod background;
mod builder;
mod drive;
mod engine;
mod heal;
mod result;
mod slot;
mod stream;

pub use builder::{PoolBuilder, Serves};
pub use engine::Counters;
pub use result::TaskResult;
pub use stream::{Bell, TaskResults};

use crate::raw::Message;
use crate::runner::wire::Tasks;
use crate::{Args, Result};
use engine::Engine;
use result::{Gather, Single};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;

/// A pool of workers that take tasks with arguments `P` and give results `R`.
///
/// A worker that dies in the middle of a task fails that task alone and is replaced. Dropping the
/// pool terminates it.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let pool = ctx.pool::<(u64,), bool>("is_prime").workers(4).build()?;
/// assert!(pool.apply((7u64,))?);
/// let flags = pool.map(0..100u64)?;
/// # drop(flags);
/// pool.close();
/// pool.join()?;
/// # Ok(()) }
/// ```
pub struct Pool<P, R> {
    engine: Arc<Engine>,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R: DeserializeOwned + Send + 'static> Pool<P, R> {
    /// Runs one task and waits for its result.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// assert!(pool.apply((7u64,))?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::PoolClosed`], [`crate::Error::Task`], [`crate::Error::WorkerDied`],
    /// [`crate::Error::Decode`].
    pub fn apply<A: Args<P>>(&self, args: A) -> Result<R> {
        self.submit(args, None, false)?.get()
    }

    /// Runs one task; its result is fetched later.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let (a, b) = (pool.apply_async((7u64,))?, pool.apply_async((8u64,))?);
    /// assert_eq!((a.get()?, b.get()?), (true, false));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::PoolClosed`], [`crate::Error::PoolBroken`], [`crate::Error::Encode`].
    pub fn apply_async<A: Args<P>>(&self, args: A) -> Result<TaskResult<R>> {
        self.submit(args, None, true)
    }

    /// Like [`Pool::apply_async`]; when the task has ended, `then` is called with its result on the
    /// thread that drives the pool. It should be short.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async_with((7u64,), |end| match end {
    ///     Ok(prime) => println!("7 is a prime: {prime}"),
    ///     Err(why) => eprintln!("7: {why}"),
    /// })?;
    /// assert!(result.get()?); // the callback leaves it to its caller
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Pool::apply_async`].
    pub fn apply_async_with<A: Args<P>>(
        &self,
        args: A,
        then: impl FnOnce(&Result<R>) + Send + 'static,
    ) -> Result<TaskResult<R>> {
        self.submit(args, Some(Box::new(then)), true)
    }

    fn submit<A: Args<P>>(
        &self,
        args: A,
        then: Option<result::Callback<R>>,
        background: bool,
    ) -> Result<TaskResult<R>> {
        let mut tasks = Tasks::new();
        tasks.push(&args)?;
        let sink = Arc::new(Single::new(then));
        self.engine.submit(tasks, sink.clone(), 0)?;
        if background {
            self.engine.drive_in_background();
        }
        Ok(TaskResult::new(self.engine.clone(), sink))
    }

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
        let gather = self.gather(inputs.into_iter(), None, || self.engine.wait_for_room())?;
        TaskResult::new(self.engine.clone(), gather).get()
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
        then: Option<result::Callback<Vec<R>>>,
    ) -> Result<TaskResult<Vec<R>>> {
        let gather = self.gather(inputs, then, || Ok(()))?;
        self.engine.drive_in_background();
        Ok(TaskResult::new(self.engine.clone(), gather))
    }

    /// Hands in all inputs, chunk by chunk; `pause` is called after each.
    fn gather(
        &self,
        inputs: impl Iterator<Item: Serialize>,
        then: Option<result::Callback<Vec<R>>>,
        pause: impl Fn() -> Result<()>,
    ) -> Result<Arc<Gather<R>>> {
        let about = inputs.size_hint().0;
        let gather = Arc::new(Gather::new(about, then));
        let mut chunks = Chunks::new(inputs, self.engine.chunk_for(about));
        while let Some((base, tasks)) = chunks.next_chunk()? {
            gather.expect(tasks.len());
            self.engine.submit(tasks, gather.clone(), base)?;
            pause()?;
        }
        gather.seal();
        Ok(gather)
    }

    /// A task per input; results come in the order of the inputs, as an iterator. Inputs are taken
    /// a bounded number ahead, so an endless iterator needs constant memory.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let primes = pool.imap(0u64..).filter(|(_, prime)| *prime == Ok(true)); // without end
    /// let first: Vec<usize> = primes.map(|(index, _)| index).take(4).collect();
    /// assert_eq!(first, [2, 3, 5, 7]);
    /// # Ok(()) }
    /// ```
    pub fn imap<I>(
        &self,
        inputs: I,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.iterate(inputs, true)
    }

    /// Like [`Pool::imap`], with the results as they come, each with its input's index.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// for (index, prime) in pool.imap_unordered(100..200u64) {
    ///     println!("{}: {}", 100 + index, prime?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn imap_unordered<I>(
        &self,
        inputs: I,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.iterate(inputs, false)
    }

    fn iterate<I>(
        &self,
        inputs: I,
        ordered: bool,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        let encoded = inputs.into_iter().map(|item| Poll::Ready(Message::of(&(item,))));
        TaskResults::new(self.engine.clone(), encoded, ordered)
    }

    /// Like [`Pool::imap`], for inputs that come when they come: from a terminal, a socket, another
    /// thread. `Poll::Pending` says that there is none now. What was taken is then sent off, be it
    /// less than a chunk, and results are given out while the inputs are idle; they are looked at
    /// again when a result comes, and when [`Pool::bell`] is rung. In input order, or else as the
    /// results come.
    ///
    /// ```no_run
    /// # use std::{sync::mpsc, task::Poll};
    /// # fn example(pool: procbox_core::Pool<(u64,), u64>) {
    /// let (sender, receiver) = mpsc::sync_channel(1000);
    /// let bell = pool.bell();
    /// std::thread::spawn(move || {
    ///     for n in 0..10u64 {
    ///         sender.send(n).unwrap();
    ///         bell.ring();
    ///     }
    ///     drop(sender);
    ///     bell.ring();
    /// });
    /// let inputs = std::iter::from_fn(|| match receiver.try_recv() {
    ///     Ok(n) => Some(Poll::Ready(n)),
    ///     Err(mpsc::TryRecvError::Empty) => Some(Poll::Pending),
    ///     Err(mpsc::TryRecvError::Disconnected) => None,
    /// });
    /// for (index, result) in pool.imap_polled(inputs, true) {
    ///     println!("{index}: {result:?}");
    /// }
    /// # }
    /// ```
    pub fn imap_polled<I, T>(
        &self,
        inputs: I,
        ordered: bool,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I, T>>
    where
        I: IntoIterator<Item = Poll<T>>,
        (T,): Args<P>,
    {
        let encoded = inputs.into_iter().map(|poll| poll.map(|item| Message::of(&(item,))));
        TaskResults::new(self.engine.clone(), encoded, ordered)
    }

    /// What tells this pool that inputs of [`Pool::imap_polled`] have come.
    ///
    /// ```no_run
    /// # use std::{sync::mpsc, task::Poll};
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let (sender, receiver) = mpsc::channel::<u64>();
    /// let bell = pool.bell();
    /// std::thread::spawn(move || {
    ///     sender.send(7).unwrap();
    ///     drop(sender);
    ///     bell.ring(); // also after the last
    /// });
    /// # let inputs = std::iter::from_fn(move || match receiver.try_recv() {
    /// #     Ok(n) => Some(Poll::Ready(n)),
    /// #     Err(mpsc::TryRecvError::Empty) => Some(Poll::Pending),
    /// #     Err(mpsc::TryRecvError::Disconnected) => None,
    /// # });
    /// assert_eq!(pool.imap_polled(inputs, true).collect::<Vec<_>>(), [(0, Ok(true))]);
    /// # Ok(()) }
    /// ```
    pub fn bell(&self) -> Bell {
        Bell::new(&self.engine)
    }

    /// Takes no more tasks; those that it has are done.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// pool.close();
    /// assert_eq!(pool.apply((8u64,)), Err(Error::PoolClosed));
    /// assert!(result.get()?);
    /// # Ok(()) }
    /// ```
    pub fn close(&self) {
        self.engine.close();
    }

    /// Ends the workers at once; what is pending fails with [`crate::Error::PoolClosed`].
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let flags = pool.map_async(0..1_000_000u64)?;
    /// pool.terminate();
    /// assert_eq!(flags.get(), Err(Error::PoolClosed));
    /// # Ok(()) }
    /// ```
    pub fn terminate(&self) {
        self.engine.terminate();
    }

    /// Waits until all tasks and then all workers have ended.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// assert_eq!(pool.join(), Err(Error::PoolOpen));
    /// pool.close();
    /// pool.join()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::PoolOpen`] before `close` or `terminate`, [`crate::Error::Interrupted`] on
    /// Ctrl-C.
    pub fn join(&self) -> Result<()> {
        self.engine.join()
    }

    /// What happened so far.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// pool.map(0..100u64)?;
    /// let so_far = pool.counters();
    /// assert_eq!((so_far.submitted, so_far.done, so_far.failed), (100, 100, 0));
    /// # Ok(()) }
    /// ```
    pub fn counters(&self) -> Counters {
        self.engine.counters()
    }
}

impl<P, R> Drop for Pool<P, R> {
    fn drop(&mut self) {
        self.engine.terminate();
        // It can only be interrupted, and the workers were told to end.
        let _ = self.engine.join();
        self.engine.end_background();
    }
}

impl<P, R> fmt::Debug for Pool<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.engine.counters())
    }
}

/// Cuts an iterator of argument tuples into encoded chunks.
struct Chunks<I> {
    inputs: I,
    size: usize,
    at: usize,
    /// The bytes of the last one, which the next will need too.
    room: usize,
}

impl<I: Iterator<Item: Serialize>> Chunks<I> {
    fn new(inputs: I, size: usize) -> Chunks<I> {
        Chunks { inputs, size, at: 0, room: 0 }
    }

    fn next_chunk(&mut self) -> Result<Option<(usize, Tasks)>> {
        let mut tasks = Tasks::with_room(self.room);
        for arguments in self.inputs.by_ref().take(self.size) {
            tasks.push(&arguments)?;
        }
        let base = self.at;
        self.at += tasks.len();
        self.room = tasks.bytes();
        Ok(if tasks.is_empty() { None } else { Some((base, tasks)) })
    }
}
