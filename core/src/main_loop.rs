//! The main loop: callbacks that others post to the main thread, which runs them one by one.
//!
//! It is a [`Queue`] and an agreement about what is in it: a call of the program's own type, the
//! wish to exit, or the number of a closure that a thread of this very process left beside the
//! queue. So the right to post travels like any queue's handle, and whoever waits in
//! [`MainLoop::run`] waits in a `get`, which Ctrl-C ends.

use crate::queue::{with_encoded, with_received};
use crate::raw::RawQueue;
use crate::sync::lock;
use crate::time::Clock;
use crate::worker::Arg;
use crate::{Context, Error, Queue, Result, Wait};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A post to the main thread.
#[derive(Serialize, Deserialize)]
enum Posted<T> {
    /// For the function that `run` was given.
    Call(T),
    /// `run` returns this.
    Exit(i32),
    /// The number of a closure of this process.
    Closure(u64),
}

type Closure = Box<dyn FnOnce() + Send>;

/// The closures that wait to be run, by number.
#[derive(Default)]
struct Closures {
    last: u64,
    waiting: HashMap<u64, Closure>,
}

fn put<T: Serialize>(queue: &dyn RawQueue, posted: &Posted<T>) -> Result<()> {
    with_encoded(posted, |bytes, handles| queue.put(bytes, handles, Wait::Forever))
}

/// The loop in which the main thread waits for what others want it to do.
///
/// Whoever has a [`Poster`] can post: threads, and processes that were handed it. What one poster
/// posts is run in that order. When the loop is dropped, posts fail with [`Error::Closed`].
///
/// ```no_run
/// # use procbox_core::{Context, MainLoop, Result};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// enum Call {
///     Show(String),
/// }
/// # fn example(ctx: Context) -> Result<()> {
/// let main: MainLoop<Call> = ctx.main_loop()?;
/// let p = ctx.process("asks_main").args((&main.poster(),)).daemon(true).start()?;
/// let code = main.run(|call| match call {
///     Call::Show(text) => println!("{text}"),
/// })?;
/// # drop(p);
/// std::process::exit(code)
/// # }
/// ```
pub struct MainLoop<T> {
    queue: Queue<Posted<T>>,
    closures: Arc<Mutex<Closures>>,
    clock: Arc<dyn Clock>,
}

impl Context {
    /// A main loop, for the thread that is going to [`MainLoop::run`] it.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let main = ctx.main_loop::<String>()?;
    /// main.poster().exit(3)?;
    /// assert_eq!(main.run(|text| println!("{text}"))?, 3);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn main_loop<T>(&self) -> Result<MainLoop<T>> {
        Ok(MainLoop {
            queue: self.unbounded_queue()?,
            closures: Arc::default(),
            clock: self.clock(),
        })
    }
}

impl<T> MainLoop<T> {
    /// The right to post, for threads and, inside a message or among arguments, for processes.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let main = ctx.main_loop::<String>()?;
    /// let p = ctx.process("asks_main").args((&main.poster(),)).start()?;
    /// let code = main.run(|text| println!("{text}"))?;
    /// # drop((p, code));
    /// # Ok(()) }
    /// ```
    pub fn poster(&self) -> Poster<T> {
        Poster { queue: self.queue.clone() }
    }

    /// The right to post closures, for threads of this process.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let main = ctx.main_loop::<()>()?;
    /// let (closures, right) = (main.closures(), main.poster());
    /// std::thread::spawn(move || {
    ///     closures.post(move || assert_eq!(right.exit(0), Ok(()))) // the closure may post too
    /// });
    /// assert_eq!(main.run(drop)?, 0);
    /// # Ok(()) }
    /// ```
    pub fn closures(&self) -> ClosurePoster {
        ClosurePoster { queue: self.queue.raw().clone(), closures: self.closures.clone() }
    }
}

impl<T: DeserializeOwned> MainLoop<T> {
    /// Runs what is posted, on the calling thread, until somebody posts an exit; the answer is its
    /// code. What was posted after that stays, for the next `run`.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let main = ctx.main_loop::<u32>()?;
    /// main.poster().post(&20)?;
    /// main.poster().exit(0)?;
    /// let mut sum = 1;
    /// main.run(|n| sum += n)?;
    /// assert_eq!(sum, 21);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C, [`Error::Decode`] if somebody posted something else than a
    /// `T`. The loop can be run again after both.
    pub fn run(&self, call: impl FnMut(T)) -> Result<i32> {
        self.run_until(Wait::Forever, call)
    }

    /// Like [`MainLoop::run`], for at most `timeout`; a call that has begun is not cut short.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let main = ctx.main_loop::<String>()?;
    /// let code = main.run_timeout(Duration::from_millis(10), |text| println!("{text}"));
    /// assert_eq!(code, Err(Error::TimedOut)); // nobody posted an exit
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`MainLoop::run`], and [`Error::TimedOut`].
    pub fn run_timeout(&self, timeout: Duration, call: impl FnMut(T)) -> Result<i32> {
        self.run_until(Wait::AtMost(timeout), call)
    }

    fn run_until(&self, wait: Wait, mut call: impl FnMut(T)) -> Result<i32> {
        let until = wait.deadline(&*self.clock);
        loop {
            let posted = with_received(|m| self.queue.raw().get_lent(m, until.wait(&*self.clock)));
            match posted {
                Ok(Posted::Call(value)) => call(value),
                Ok(Posted::Exit(code)) => return Ok(code),
                // Unlocked before it runs: it may post the next one.
                Ok(Posted::Closure(number)) => {
                    let closure = lock(&self.closures).waiting.remove(&number);
                    // A process can only have made the number up.
                    closure.into_iter().for_each(|run| run());
                }
                Err(Error::Empty) => return Err(Error::TimedOut),
                Err(e) => return Err(e),
            }
            if until.is_past(&*self.clock) {
                return Err(Error::TimedOut);
            }
        }
    }
}

impl<T> Drop for MainLoop<T> {
    fn drop(&mut self) {
        self.queue.close();
        // A closure may hold what its poster waits to see dropped.
        let forgotten = std::mem::take(&mut lock(&self.closures).waiting);
        drop(forgotten);
    }
}

impl<T> fmt::Debug for MainLoop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MainLoop({} posted)", self.queue.len())
    }
}

/// The right to have the main thread do something. It is a handle: it travels in messages and
/// arguments. It includes the right to make [`MainLoop::run`] return.
///
/// ```no_run
/// # use procbox_core::{Poster, Result};
/// fn worker(main: Poster<String>) -> Result<()> {
///     main.post("nearly done")?;
///     main.exit(3)
/// }
/// ```
pub struct Poster<T> {
    queue: Queue<Posted<T>>,
}

impl<T> Poster<T> {
    /// Has the main thread run its function with this value. Does not wait for it.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let main = ctx.main_loop::<String>()?;
    /// let poster = main.poster();
    /// poster.post("hello")?; // a `&str` for a `String`
    /// drop(main);
    /// assert_eq!(poster.post("hello"), Err(Error::Closed));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`] if the loop was dropped, [`Error::TooLarge`], [`Error::Encode`],
    /// [`Error::ForeignHandle`], [`Error::Interrupted`].
    pub fn post<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
    where
        for<'a> &'a V: Arg<T>,
    {
        put(&**self.queue.raw(), &Posted::Call(value))
    }

    /// Has [`MainLoop::run`] return this code, after what was posted before.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let main = ctx.main_loop::<u32>()?;
    /// let poster = main.poster();
    /// poster.post(&7)?;
    /// poster.exit(3)?;
    /// assert_eq!(main.run(|n| assert_eq!(n, 7))?, 3); // the call came first
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`] if the loop was dropped, [`Error::Interrupted`].
    pub fn exit(&self, code: i32) -> Result<()> {
        put(&**self.queue.raw(), &Posted::<()>::Exit(code))
    }
}

impl<T> Clone for Poster<T> {
    fn clone(&self) -> Poster<T> {
        Poster { queue: self.queue.clone() }
    }
}

impl<T> fmt::Debug for Poster<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poster")
    }
}

impl<T> Serialize for Poster<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.queue.serialize(s)
    }
}

impl<'de, T> Deserialize<'de> for Poster<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Poster<T>, D::Error> {
        Ok(Poster { queue: Queue::deserialize(d)? })
    }
}

/// The right to have the main thread run closures. It stays in its process.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let main = ctx.main_loop::<()>()?;
/// let (closures, right) = (main.closures(), main.poster());
/// std::thread::spawn(move || {
///     closures.post(|| println!("on the main thread"))?;
///     right.exit(0)
/// });
/// assert_eq!(main.run(drop)?, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ClosurePoster {
    queue: Arc<dyn RawQueue>,
    closures: Arc<Mutex<Closures>>,
}

impl ClosurePoster {
    /// Has the main thread run a closure. Does not wait for it.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let main = ctx.main_loop::<()>()?;
    /// let (closures, right) = (main.closures(), main.poster());
    /// closures.post(|| println!("on the main thread"))?;
    /// right.exit(0)?;
    /// main.run(drop)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`] if the loop was dropped, [`Error::Interrupted`]; the closure is dropped.
    pub fn post(&self, closure: impl FnOnce() + Send + 'static) -> Result<()> {
        let number = {
            let mut closures = lock(&self.closures);
            closures.last += 1;
            let number = closures.last;
            closures.waiting.insert(number, Box::new(closure));
            number
        };
        put(&*self.queue, &Posted::<()>::Closure(number)).inspect_err(|_| {
            let refused = lock(&self.closures).waiting.remove(&number);
            drop(refused);
        })
    }
}

impl fmt::Debug for ClosurePoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClosurePoster")
    }
}
