//! `imap`: results as an iterator that takes its inputs as it goes, and inputs that may be late.

use super::driver::Driver;
use super::options::Call;
use super::pool::Pool;
use super::sink::{Deferred, Sink, TaskOutcome, Tell, decoded};
use crate::runner::wire::Tasks;
use crate::sync::lock;
use crate::time::Deadline;
use crate::worker::Args;
use crate::{Error, Result, TaskUsage, Wait};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;
use std::time::Duration;

/// Tells a pool that inputs have come. Made by [`crate::Pool::bell`], for whoever provides the
/// inputs of [`crate::Pool::imap_polled`] from another thread.
///
/// ```no_run
/// # fn example(bell: procbox_core::Bell, sender: std::sync::mpsc::Sender<String>) {
/// std::thread::spawn(move || {
///     for line in std::io::stdin().lines().map_while(Result::ok) {
///         let _ = sender.send(line);
///         bell.ring();
///     }
///     drop(sender);
///     bell.ring();
/// });
/// # }
/// ```
#[derive(Clone)]
pub struct Bell(Weak<Driver>);

impl Bell {
    pub(super) fn new(driver: &Arc<Driver>) -> Bell {
        Bell(Arc::downgrade(driver))
    }

    /// Makes every wait for a result look at its inputs again. Ring after an input can be had, and
    /// after the last one too; a ring too many costs a few hundred nanoseconds. Nothing happens when
    /// the pool is gone.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) {
    /// let bell = pool.bell();
    /// drop(pool);
    /// bell.ring(); // nothing happens
    /// # }
    /// ```
    pub fn ring(&self) {
        if let Some(driver) = self.0.upgrade() {
            driver.ring();
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

/// The sink of `imap`: values wait here for the iterator, by index.
struct Stream<R> {
    arrived: Mutex<Arrived<R>>,
}

/// A task's result, and what the task has used if that was measured.
type Ended<R> = (Result<R>, Option<Box<TaskUsage>>);

struct Arrived<R> {
    by_index: BTreeMap<usize, Ended<R>>,
    in_order_of_arrival: VecDeque<usize>,
}

impl<R: DeserializeOwned + Send + 'static> Sink for Stream<R> {
    fn complete(&self, index: usize, outcome: TaskOutcome<'_>, tell: Tell<'_>) -> Option<Deferred> {
        self.arrive(index, decoded(outcome, index, tell), tell.used());
        None
    }
}

impl<R> Stream<R> {
    fn arrive(&self, index: usize, value: Result<R>, used: Option<Box<TaskUsage>>) {
        let mut arrived = lock(&self.arrived);
        arrived.by_index.insert(index, (value, used));
        arrived.in_order_of_arrival.push_back(index);
    }
}

impl<P, R: DeserializeOwned + Send + 'static> Pool<P, R> {
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
    pub fn imap<I>(&self, inputs: I) -> TaskResults<R, AtHand<I::IntoIter>>
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
    pub fn imap_unordered<I>(&self, inputs: I) -> TaskResults<R, AtHand<I::IntoIter>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.iterate(inputs, false)
    }

    /// A task per input, whose results are folded into one value in the order of the inputs, as they come:
    /// none is kept beyond its turn, and inputs are taken a bounded number ahead.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let primes = pool.fold(0..1_000_000u64, 0u64, |sum, prime| sum + u64::from(prime))?;
    /// assert_eq!(primes, 78_498);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The first error by input order; the tasks behind it are not waited for, and their results dropped.
    pub fn fold<I, A>(&self, inputs: I, first: A, mut with: impl FnMut(A, R) -> A) -> Result<A>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.imap(inputs).try_fold(first, |so_far, (_, result)| Ok(with(so_far, result?)))
    }

    fn iterate<I>(&self, inputs: I, ordered: bool) -> TaskResults<R, AtHand<I::IntoIter>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        let (driver, call) = (self.driver.clone(), self.call.clone());
        TaskResults::new(driver, call, AtHand(inputs.into_iter()), ordered)
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
    pub fn imap_polled<I, T>(&self, inputs: I, ordered: bool) -> TaskResults<R, I::IntoIter>
    where
        I: IntoIterator<Item = Poll<T>>,
        (T,): Args<P>,
    {
        TaskResults::new(self.driver.clone(), self.call.clone(), inputs.into_iter(), ordered)
    }

    /// The bell that tells this pool that inputs of [`Pool::imap_polled`] have come.
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
        Bell::new(&self.driver)
    }
}

/// Inputs that are all at hand, as [`crate::Pool::imap`] takes them: none is ever late.
///
/// ```no_run
/// # fn example(pool: procbox_core::Pool<(u64,), bool>) {
/// use procbox_core::{AtHand, TaskResults};
/// use std::ops::Range;
/// let results: TaskResults<bool, AtHand<Range<u64>>> = pool.imap(0..100u64);
/// # drop(results);
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "iterators are lazy"]
pub struct AtHand<I>(I);

impl<I: Iterator> Iterator for AtHand<I> {
    type Item = Poll<I::Item>;

    fn next(&mut self) -> Option<Poll<I::Item>> {
        self.0.next().map(Poll::Ready)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// The results of [`crate::Pool::imap`]: an iterator that takes inputs as it goes.
///
/// Each item is the input's index and the task's result.
///
/// ```no_run
/// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
/// let mut results = pool.imap([7u64, 8]);
/// assert_eq!(results.next(), Some((0, Ok(true))));
/// assert_eq!(results.next(), Some((1, Ok(false))));
/// assert_eq!(results.next(), None);
/// # Ok(()) }
/// ```
#[must_use = "nothing runs before its results are asked for"]
pub struct TaskResults<R, I> {
    driver: Arc<Driver>,
    /// Whom the tasks call, and what they ask for.
    call: Call,
    inputs: std::iter::Fuse<I>,
    stream: Arc<Stream<R>>,
    ordered: bool,
    chunk: usize,
    /// The bytes of the last one.
    bytes: usize,
    /// The number of inputs taken.
    taken: usize,
    /// The number of results given out; in order, that is the next index.
    given: usize,
    /// An input that could not be encoded: its index's result.
    broken: bool,
    /// The error for which the pool took no more: the last item.
    refused: Option<Error>,
    /// `true` if the inputs said that there is none now, but will be.
    idle: bool,
    /// What the task has used whose result was given out last.
    used: Option<Box<TaskUsage>>,
}

impl<R, I, T> TaskResults<R, I>
where
    R: DeserializeOwned + Send + 'static,
    I: Iterator<Item = Poll<T>>,
    (T,): Serialize,
{
    pub(super) fn new(
        driver: Arc<Driver>,
        call: Call,
        inputs: I,
        ordered: bool,
    ) -> TaskResults<R, I> {
        let arrived = Arrived { by_index: BTreeMap::new(), in_order_of_arrival: VecDeque::new() };
        TaskResults {
            chunk: driver.chunk_or(1, &call),
            driver,
            call,
            inputs: inputs.fuse(),
            stream: Arc::new(Stream { arrived: Mutex::new(arrived) }),
            ordered,
            bytes: usize::MAX,
            taken: 0,
            given: 0,
            broken: false,
            refused: None,
            idle: false,
            used: None,
        }
    }

    /// Takes inputs until the workers have enough to do or none is there.
    fn feed(&mut self) {
        self.idle = false;
        // In order, a slow first task must not let results pile up without bound behind it.
        while !self.broken
            && !self.idle
            && self.taken - self.given < self.driver.window(self.chunk, self.bytes)
        {
            let base = self.taken;
            let tasks = self.next_chunk();
            if tasks.is_empty() {
                break;
            }
            if let Err(e) = self.driver.submit(tasks, self.stream.clone(), base, &self.call) {
                self.taken = base;
                self.broken = true;
                self.refused = Some(e);
            }
        }
    }

    /// The inputs of a chunk; fewer, maybe none, if there are no more or none is there now.
    fn next_chunk(&mut self) -> Tasks {
        let mut tasks = Tasks::of(self.call.worker.as_deref());
        while tasks.len() < self.chunk {
            match self.inputs.next() {
                Some(Poll::Ready(item)) => {
                    let Err(e) = tasks.push(&(item,)) else { continue };
                    self.broken = true;
                    self.stream.arrive(self.taken + tasks.len(), Err(e), None);
                    self.taken += 1;
                    break;
                }
                Some(Poll::Pending) => {
                    self.idle = true;
                    break;
                }
                None => break,
            }
        }
        self.taken += tasks.len();
        self.bytes = tasks.bytes();
        tasks
    }

    /// The next result, waiting at most so long. `None` when there are no more.
    fn next_within(&mut self, wait: Wait) -> Option<Result<(usize, Result<R>)>> {
        let mut deadline = None;
        loop {
            // Counted before the inputs are looked at, so that no ring is missed.
            let rings = self.driver.rings();
            self.feed();
            if let Some((index, (result, used))) = self.take_next() {
                self.given += 1;
                self.used = used;
                return Some(Ok((index, result)));
            }
            if self.taken == self.given && !self.idle {
                return self.refused.take().map(Err);
            }
            let deadline = *deadline.get_or_insert_with(|| wait.deadline(&*self.driver.clock));
            if let Err(e) = self.wait(rings, deadline) {
                return Some(Err(e));
            }
        }
    }

    /// Waits for a result, or for the bell if inputs are late.
    fn wait(&self, rings: u64, deadline: Deadline) -> Result<()> {
        let done = || {
            let arrived = lock(&self.stream.arrived);
            let there = match self.ordered {
                true => arrived.by_index.contains_key(&self.given),
                false => !arrived.by_index.is_empty(),
            };
            there || self.idle && self.driver.rings() != rings
        };
        self.driver.drive_until(&done, deadline.wait(&*self.driver.clock))
    }

    /// The next result, if it is there.
    fn take_next(&self) -> Option<(usize, Ended<R>)> {
        let mut arrived = lock(&self.stream.arrived);
        if self.ordered {
            let value = arrived.by_index.remove(&self.given)?;
            // One left for each: which is of no interest here.
            arrived.in_order_of_arrival.pop_front();
            return Some((self.given, value));
        }
        let index = arrived.in_order_of_arrival.pop_front()?;
        Some((index, arrived.by_index.remove(&index)?))
    }

    /// What the task has used whose result came last, if its pool
    /// [measures](crate::PoolBuilder::measured) that and it was begun.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").measured().build()?;
    /// let mut results = pool.imap(0..100u64);
    /// while let Some((n, prime)) = results.next() {
    ///     println!("{n}: {}, in {:?}", prime?, results.usage().and_then(|usage| usage.cpu_time));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn usage(&self) -> Option<TaskUsage> {
        self.used.as_deref().copied()
    }

    /// Like `next`, for at most `timeout`; a wait that runs out can be tried again.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let mut results = pool.imap(0..100u64);
    /// match results.next_timeout(Duration::from_secs(1)) {
    ///     Ok(Some((index, prime))) => println!("{index}: {}", prime?),
    ///     Ok(None) => println!("that was all"),
    ///     Err(Error::TimedOut) => println!("not yet; it can be asked for again"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`] on Ctrl-C.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<(usize, Result<R>)>> {
        self.next_within(Wait::AtMost(timeout)).transpose()
    }
}

impl<R, I, T> Iterator for TaskResults<R, I>
where
    R: DeserializeOwned + Send + 'static,
    I: Iterator<Item = Poll<T>>,
    (T,): Serialize,
{
    type Item = (usize, Result<R>);

    /// The next result. An error of the pool itself (interrupted, closed) is the last item.
    fn next(&mut self) -> Option<(usize, Result<R>)> {
        match self.next_within(Wait::Forever)? {
            Ok(item) => Some(item),
            Err(e) => {
                let index = self.given;
                self.broken = true;
                self.taken = self.given;
                Some((index, Err(e)))
            }
        }
    }
}

impl<R, I> fmt::Debug for TaskResults<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskResults({} of {} so far)", self.given, self.taken)
    }
}
