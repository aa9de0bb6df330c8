//! A flag that processes wait for.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::polled::until;
use crate::raw::{Handle, RawEvent};
use crate::{Error, Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A flag: `set`, `clear`, and `wait` until it is set.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let go = ctx.event()?;
/// assert!(!go.wait_timeout(std::time::Duration::from_millis(10))?);
/// go.set();
/// assert!(go.wait()?);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Event(Arc<dyn RawEvent>);

impl Event {
    /// Wraps what a backend made.
    ///
    /// ```
    /// # use procbox_core::Event;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let event = Event::from_raw(ctx.raw().event()?); // what `Context::event` does
    /// assert!(!event.is_set());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn from_raw(raw: Arc<dyn RawEvent>) -> Event {
        Event(raw)
    }

    /// Sets the flag; all who wait go on.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let event = ctx.event()?;
    /// event.set();
    /// event.set(); // it is set already: nothing changes
    /// assert!(event.is_set());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn set(&self) {
        self.0.set();
    }

    /// Clears the flag.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let event = ctx.event()?;
    /// event.set();
    /// event.clear();
    /// assert!(!event.wait_timeout(std::time::Duration::ZERO)?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn clear(&self) {
        self.0.clear();
    }

    /// `true` if it is set now.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let stop = ctx.event()?;
    /// # stop.set();
    /// while !stop.is_set() {
    ///     println!("one more round");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_set(&self) -> bool {
        self.0.is_set()
    }

    /// Waits until it is set; the answer is always `true`.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let event = ctx.event()?;
    /// let other = event.clone();
    /// std::thread::spawn(move || other.set());
    /// assert!(event.wait()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C.
    pub fn wait(&self) -> Result<bool> {
        self.0.wait(Wait::Forever).map(|()| true)
    }

    /// Waits at most `timeout`: `true` if it was set, `false` if the wait ran out.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let event = ctx.event()?;
    /// # let setter = event.clone();
    /// # std::thread::spawn(move || setter.set());
    /// while !event.wait_timeout(Duration::from_secs(1))? {
    ///     println!("still waiting");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        match self.0.wait(Wait::AtMost(timeout)) {
            Ok(()) => Ok(true),
            Err(Error::TimedOut) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl Event {
    /// Like [`Event::wait`], as a future: whoever polls it does not block while the event is clear. It is
    /// ready if the event is set, or was set since it was first polled.
    /// Inside a sandboxed process, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let go = ctx.event()?;
    /// let p = ctx.process("starts_the_rest").args((&go,)).start()?;
    /// go.wait_async().await?;
    /// # drop(p);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`] if it cannot be watched.
    pub async fn wait_async(&self) -> Result<()> {
        let before = self.0.times_set();
        let attempt = |wait: Wait| {
            if self.0.is_set() || self.0.times_set() != before {
                return Ok(());
            }
            if wait.is_never() { Err(Error::TimedOut) } else { self.0.wait(wait) }
        };
        until(attempt, |waker| self.0.watch(waker)).await
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({})", if self.is_set() { "set" } else { "clear" })
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_handle(Handle::Event(self.0.clone()), s)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Event, D::Error> {
        match deserialize_handle(d)? {
            Handle::Event(raw) => Ok(Event(raw)),
            other => Err(serde::de::Error::custom(format!("a {} is not an event", other.kind()))),
        }
    }
}
