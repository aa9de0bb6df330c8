//! `imap`: results as an iterator that takes its inputs as it goes, and inputs that may be late.

use super::engine::Engine;
use super::result::{Deferred, Sink, TaskOutcome, decoded, lock};
use crate::raw::Message;
use crate::runner::wire::Tasks;
use crate::time::Deadline;
use crate::{Error, Result, Wait};
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
pub struct Bell(Weak<Engine>);

impl Bell {
    pub(super) fn new(engine: &Arc<Engine>) -> Bell {
        Bell(Arc::downgrade(engine))
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
        if let Some(engine) = self.0.upgrade() {
            engine.ring();
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

struct Arrived<R> {
    by_index: BTreeMap<usize, Result<R>>,
    in_order_of_arrival: VecDeque<usize>,
}

impl<R: DeserializeOwned + Send + 'static> Sink for Stream<R> {
    fn complete(&self, index: usize, outcome: TaskOutcome<'_>) -> Option<Deferred> {
        let value = decoded(outcome);
        let mut arrived = lock(&self.arrived);
        arrived.by_index.insert(index, value);
        arrived.in_order_of_arrival.push_back(index);
        None
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
pub struct TaskResults<R, I> {
    engine: Arc<Engine>,
    inputs: std::iter::Fuse<I>,
    stream: Arc<Stream<R>>,
    ordered: bool,
    chunk: usize,
    /// How many inputs were taken.
    taken: usize,
    /// How many results were given out; in order, that is the next index.
    given: usize,
    /// An input that could not be encoded: its index's result.
    broken: bool,
    /// Why the pool took no more: the last item.
    refused: Option<Error>,
    /// Whether the inputs said that there is none now, but will be.
    idle: bool,
}

impl<R, I> TaskResults<R, I>
where
    R: DeserializeOwned + Send + 'static,
    I: Iterator<Item = Poll<Result<Message>>>,
{
    pub(super) fn new(engine: Arc<Engine>, inputs: I, ordered: bool) -> TaskResults<R, I> {
        let arrived = Arrived { by_index: BTreeMap::new(), in_order_of_arrival: VecDeque::new() };
        TaskResults {
            chunk: engine.chunk_or(1),
            engine,
            inputs: inputs.fuse(),
            stream: Arc::new(Stream { arrived: Mutex::new(arrived) }),
            ordered,
            taken: 0,
            given: 0,
            broken: false,
            refused: None,
            idle: false,
        }
    }

    /// Takes inputs until the workers have enough to do or none is there.
    fn feed(&mut self) {
        self.idle = false;
        // In order, a slow first task must not let results pile up without bound behind it.
        while !self.broken && !self.idle && self.taken - self.given < self.engine.window(self.chunk)
        {
            let base = self.taken;
            let tasks = self.next_chunk();
            if tasks.is_empty() {
                break;
            }
            if let Err(e) = self.engine.submit(tasks, self.stream.clone(), base) {
                self.taken = base;
                self.broken = true;
                self.refused = Some(e);
            }
        }
    }

    /// The inputs of a chunk; fewer, maybe none, if there are no more or none is there now.
    fn next_chunk(&mut self) -> Tasks {
        let mut tasks = Tasks::new();
        while tasks.len() < self.chunk {
            match self.inputs.next() {
                Some(Poll::Ready(Ok(m))) => tasks.push_encoded(&m.bytes, &m.handles),
                Some(Poll::Ready(Err(e))) => {
                    self.broken = true;
                    // A stream has no callback to run.
                    let _ = self.stream.complete(self.taken + tasks.len(), Err(e));
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
        tasks
    }

    /// The next result, waiting at most so long. `None` when there are no more.
    fn next_within(&mut self, wait: Wait) -> Option<Result<(usize, Result<R>)>> {
        let mut deadline = None;
        loop {
            // Counted before the inputs are looked at, so that no ring is missed.
            let rings = self.engine.rings();
            self.feed();
            if let Some(item) = self.take_next() {
                self.given += 1;
                return Some(Ok(item));
            }
            if self.taken == self.given && !self.idle {
                return self.refused.take().map(Err);
            }
            let deadline = *deadline.get_or_insert_with(|| wait.deadline(&*self.engine.clock));
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
            there || self.idle && self.engine.rings() != rings
        };
        self.engine.drive_until(&done, deadline.wait(&*self.engine.clock))
    }

    /// The next result, if it is there.
    fn take_next(&self) -> Option<(usize, Result<R>)> {
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

impl<R, I> Iterator for TaskResults<R, I>
where
    R: DeserializeOwned + Send + 'static,
    I: Iterator<Item = Poll<Result<Message>>>,
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
