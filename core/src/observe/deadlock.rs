//! Deadlocks: what becomes of them, and the report of one.

use super::{Awaited, WaitGraph};
use std::fmt;
use std::time::Duration;

/// The answer of a backend to processes that wait for one another in a circle.
///
/// ```
/// use procbox_core::observe::Deadlocks;
/// assert_eq!(Deadlocks::default(), Deadlocks::Fail);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deadlocks {
    /// Nobody looks for them: who waits in a circle waits for ever.
    Ignore,
    /// Those who watch are told, by [`super::Event::Deadlock`]; the waits go on.
    Report,
    /// Those who watch are told, and the waits of the circle end with [`crate::Error::Deadlock`].
    #[default]
    Fail,
}

/// A deadlock: waits each of which only the others could end.
///
/// ```
/// use procbox_core::observe::{Awaited, Blocked, Deadlock, Operation};
/// use std::time::Duration;
/// let wait = |pid, name: &str, object, by| {
///     let on = Awaited { operation: Operation::LockAcquire, object };
///     Blocked::new(pid, name, on, vec![by], Duration::from_millis(200))
/// };
/// let deadlock = Deadlock::new(vec![wait(2, "left", 7, 3), wait(3, "right", 8, 2)]);
/// assert_eq!(
///     deadlock.to_string(),
///     "a deadlock of 2 waits\n  \
///      left (2) has waited for lock 7 for 0.2 s, which is up to right (3)\n  \
///      right (3) has waited for lock 8 for 0.2 s, which is up to left (2)"
/// );
/// assert!(deadlock.to_dot().contains("lock7 -> p3"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlock {
    /// The waits.
    pub waits: Vec<Blocked>,
}

/// A wait of a deadlock.
///
/// ```
/// use procbox_core::observe::{Awaited, Blocked, Operation};
/// use std::time::Duration;
/// let on = Awaited { operation: Operation::Join, object: 3 };
/// let wait = Blocked::new(2, "parent", on, vec![3], Duration::from_millis(150));
/// assert_eq!(wait.held_by, [3]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// The pid of the process that waits.
    pub pid: u32,
    /// The name of the process.
    pub name: String,
    /// The thing that it waits for.
    pub on: Awaited,
    /// The pids of those who alone could end the wait: the holder of a lock, the process that is
    /// joined, those with a handle of the queue.
    pub held_by: Vec<u32>,
    /// The time that it has waited, at least.
    pub since: Duration,
}

impl Blocked {
    /// A wait of process `pid` for `on`, which is up to those of `held_by`, and has lasted for `since`.
    ///
    /// ```
    /// use procbox_core::observe::{Awaited, Blocked, Operation};
    /// let on = Awaited { operation: Operation::QueueGet, object: 1 };
    /// assert_eq!(Blocked::new(2, "getter", on, vec![2], Default::default()).name, "getter");
    /// ```
    pub fn new(pid: u32, name: &str, on: Awaited, held_by: Vec<u32>, since: Duration) -> Blocked {
        Blocked { pid, name: name.into(), on, held_by, since }
    }
}

impl Deadlock {
    /// A deadlock of these waits.
    ///
    /// ```
    /// use procbox_core::observe::Deadlock;
    /// assert!(Deadlock::new(Vec::new()).waits.is_empty());
    /// ```
    pub fn new(waits: Vec<Blocked>) -> Deadlock {
        Deadlock { waits }
    }

    /// The circle as a graph in DOT, of the shape that [`WaitGraph`] has.
    ///
    /// ```
    /// use procbox_core::observe::{Awaited, Blocked, Deadlock, Operation};
    /// let on = Awaited { operation: Operation::Join, object: 3 };
    /// let wait = Blocked::new(2, "parent", on, vec![3], Default::default());
    /// assert!(Deadlock::new(vec![wait]).to_dot().contains("p2 -> p3 [label=\"join\"]"));
    /// ```
    pub fn to_dot(&self) -> String {
        let mut graph = WaitGraph::default();
        for wait in &self.waits {
            graph.name(wait.pid, &wait.name);
            graph.wait(wait.pid, wait.on);
            wait.held_by.iter().for_each(|pid| graph.held_by(wait.on, *pid));
        }
        graph.to_dot()
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.waits.len() == 1 { "" } else { "s" };
        write!(f, "a deadlock of {} wait{s}", self.waits.len())?;
        for wait in &self.waits {
            let (name, pid, since) =
                (crate::printable(&wait.name), wait.pid, wait.since.as_secs_f64());
            write!(
                f,
                "\n  {name} ({pid}) has waited for {} for {since:.1} s, which is up to ",
                wait.on
            )?;
            for (n, by) in wait.held_by.iter().enumerate() {
                let comma = if n == 0 { "" } else { ", " };
                match self.waits.iter().find(|other| other.pid == *by) {
                    Some(other) => write!(f, "{comma}{} ({by})", crate::printable(&other.name))?,
                    None => write!(f, "{comma}{by}")?,
                }
            }
        }
        Ok(())
    }
}
