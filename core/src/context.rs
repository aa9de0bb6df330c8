//! A context: a backend and its defaults. It makes primitives, processes and pools.

use crate::bridge;
use crate::raw::{
    self, Backend, Bounds, Identity, ProcessSpec, RawContext, RawProcess, Waitable, WorkerInfo,
};
use crate::sync::lock;
use crate::time::Clock;
use crate::{Error, Event, Lock, Pipe, Process, Queue, Receiver, Result, Semaphore, Sender, Wait};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The state that the clones of a context share.
pub(crate) struct ContextInner {
    raw: Arc<dyn RawContext>,
    started: AtomicU64,
    children: Mutex<Vec<Process>>,
}

impl ContextInner {
    pub(crate) fn raw(&self) -> &Arc<dyn RawContext> {
        &self.raw
    }

    pub(crate) fn next_name(&self) -> String {
        format!("Process-{}", self.started.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        if self.raw.identity().daemon {
            return Err(Error::DaemonStart);
        }
        match spec.side {
            Some(backend) => bridge::side_of(&self.raw, backend)?.start(spec),
            None => self.raw.start(spec),
        }
    }

    /// Keeps a started process for `active_children` and for the end of the context.
    pub(crate) fn remember(&self, process: &Process) {
        let mut children = lock(&self.children);
        // Forget the ended ones now and then: when the list has doubled.
        if children.len() == children.capacity() {
            children.retain(Process::is_alive);
        }
        children.push(process.clone());
    }

    fn alive(&self) -> Vec<Process> {
        let mut children = lock(&self.children);
        children.retain(Process::is_alive);
        children.clone()
    }
}

impl Drop for ContextInner {
    /// Daemons end with their parent, as far as they can; the others are joined, and killed if they would
    /// not end.
    fn drop(&mut self) {
        let mut children = self.alive();
        // Where nothing can be ended from outside, nothing says when it ends.
        children.retain(|child| {
            let is_endless = child.daemon()
                && matches!(child.terminate(), Err(Error::Unsupported(_)))
                && !child.abandon();
            !is_endless
        });
        for child in children {
            match child.join() {
                Err(Error::Interrupted) => drop(child.kill()),
                // Nobody else would run it to its end.
                Err(Error::Deadlock) => drop(child.kill().and_then(|()| child.join())),
                _ => {}
            }
        }
    }
}

/// A backend and its defaults: makes primitives, processes and pools.
///
/// Clones are the same context. When the last is dropped, its daemon processes are terminated and
/// the others are joined, as at the end of a Python program.
///
/// ```
/// # let ctx = procbox_core::local::example()?;
/// let q = ctx.queue::<u32>(16)?;
/// let p = ctx.process("writer").args((&q, 3u32)).start()?;
/// for _ in 0..3 {
///     println!("{}", q.get()?);
/// }
/// p.join()?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Context(pub(crate) Arc<ContextInner>);

/// A context that does not keep its processes: see [`Context::downgrade`].
///
/// ```
/// # use procbox_core::WeakContext;
/// # use std::sync::OnceLock;
/// # let ctx = procbox_core::Context::local([])?;
/// static CONTEXT: OnceLock<WeakContext> = OnceLock::new();
/// CONTEXT.get_or_init(|| ctx.downgrade());
/// drop(ctx); // ends it: the global does not keep it
/// assert!(CONTEXT.get().is_some_and(|weak| weak.upgrade().is_none()));
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WeakContext(Weak<ContextInner>);

impl WeakContext {
    /// The context, unless the last clone of it was dropped.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let weak = ctx.downgrade();
    /// if let Some(ctx) = weak.upgrade() {
    ///     println!("{} processes still run", ctx.active_children().len());
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn upgrade(&self) -> Option<Context> {
        self.0.upgrade().map(Context)
    }
}

impl fmt::Debug for ContextInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.raw.backend())
    }
}

impl Context {
    /// For a place that must not delay the context's end, such as a global variable.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let weak = ctx.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(ctx); // the last clone
    /// assert!(weak.upgrade().is_none());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn downgrade(&self) -> WeakContext {
        WeakContext(Arc::downgrade(&self.0))
    }

    /// Wraps a backend.
    ///
    /// ```
    /// # use procbox_core::Context;
    /// # let ctx = procbox_core::local::example()?;
    /// # let p = ctx.process("greet").args(("world",)).start()?;
    /// let second = Context::from_raw(ctx.raw().clone());
    /// assert!(second.active_children().is_empty()); // its own; the backend is shared
    /// drop(ctx.lock()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn from_raw(raw: Arc<dyn RawContext>) -> Context {
        Context(Arc::new(ContextInner {
            raw,
            started: AtomicU64::new(0),
            children: Mutex::new(Vec::new()),
        }))
    }

    /// The backend.
    ///
    /// ```
    /// # use procbox_core::Wait;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (here, there) = ctx.raw().pipe(true)?;
    /// there.send(b"bytes as they are", &[], Wait::Never)?;
    /// # drop(here);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn raw(&self) -> &Arc<dyn RawContext> {
        &self.0.raw
    }

    /// The clock that its processes live by.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.0.raw.clock()
    }

    /// The backend of this context.
    ///
    /// ```
    /// # use procbox_core::Backend;
    /// # let ctx = procbox_core::Context::local([])?;
    /// if ctx.backend() == Backend::Native {
    ///     println!("the pids are the system's");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn backend(&self) -> Backend {
        self.0.raw.backend()
    }

    /// A lock that nobody holds.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.lock()?;
    /// let guard = lock.try_lock()?;
    /// assert!(!guard.owner_died());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn lock(&self) -> Result<Lock> {
        self.0.raw.lock().map(Lock::from_raw)
    }

    /// A semaphore with this many permits.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(2)?;
    /// assert_eq!(s.available(), 2);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than [`Semaphore::MAX_PERMITS`], [`Error::Exhausted`].
    pub fn semaphore(&self, permits: usize) -> Result<Semaphore> {
        if permits > Semaphore::MAX_PERMITS {
            return Err(raw::too_many_permits());
        }
        self.0.raw.semaphore(permits).map(Semaphore::from_raw)
    }

    /// An event that is clear.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let event = ctx.event()?;
    /// assert!(!event.is_set());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn event(&self) -> Result<Event> {
        self.0.raw.event().map(Event::from_raw)
    }

    /// A queue that holds at most `messages`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue::<u32>(1)?;
    /// q.put(&1)?;
    /// assert_eq!(q.try_put(&2), Err(Error::Full));
    /// assert!(matches!(ctx.queue::<u32>(0), Err(Error::Invalid(_))));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is 0, [`Error::Exhausted`].
    pub fn queue<T>(&self, messages: usize) -> Result<Queue<T>> {
        self.queue_with(Bounds { messages: Some(messages), ..Bounds::default() })
    }

    /// A queue that holds as many messages as fit into [`Bounds::MAX_BYTES`].
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.unbounded_queue::<u32>()?;
    /// for n in 0..10_000 {
    ///     q.try_put(&n)?;
    /// }
    /// assert!(!q.is_full());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn unbounded_queue<T>(&self) -> Result<Queue<T>> {
        self.queue_with(Bounds::default())
    }

    /// A queue with bounds of its own.
    ///
    /// ```
    /// # use procbox_core::{Bounds, Bytes, Error};
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.queue_with::<Bytes>(Bounds::default().bytes(1 << 20))?;
    /// let large = Bytes(vec![0; 2 << 20]);
    /// assert!(matches!(q.put(&large), Err(Error::TooLarge { .. })));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if a bound is 0, [`Error::Exhausted`].
    pub fn queue_with<T>(&self, bounds: Bounds) -> Result<Queue<T>> {
        if bounds.messages == Some(0) || bounds.bytes == 0 {
            return Err(Error::Invalid("a queue holds at least one message and one byte".into()));
        }
        self.0.raw.queue(bounds).map(Queue::from_raw)
    }

    /// The two ends of a duplex pipe.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (here, there) = ctx.pipe::<u32>()?;
    /// here.send(&20)?;
    /// there.send(&(there.recv()? + 1))?;
    /// assert_eq!(here.recv()?, 21);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn pipe<T>(&self) -> Result<(Pipe<T>, Pipe<T>)> {
        let (a, b) = self.0.raw.pipe(true)?;
        Ok((Pipe::from_raw(a), Pipe::from_raw(b)))
    }

    /// The two ends of a simplex pipe: what the second sends, the first receives.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (from, to) = ctx.simplex_pipe::<u32>()?;
    /// to.send(&7)?;
    /// assert_eq!(from.recv()?, 7);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn simplex_pipe<T>(&self) -> Result<(Receiver<T>, Sender<T>)> {
        let (a, b) = self.0.raw.pipe(false)?;
        Ok((Receiver::from_raw(a), Sender::from_raw(b)))
    }

    /// The workers that the context's program offers.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// for worker in ctx.workers()? {
    ///     println!("{}", worker.signature.unwrap_or(worker.name));
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunnable`].
    pub fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.0.raw.workers()
    }

    /// The identity of the calling process.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let me = ctx.current_process();
    /// println!("{} has pid {}", me.name, me.pid);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn current_process(&self) -> Identity {
        self.0.raw.identity()
    }

    /// The pid and name of the calling process's parent; `None` in the first process.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// match ctx.parent_process() {
    ///     Some((pid, name)) => println!("started by {name}, process {pid}"),
    ///     None => println!("the first process"),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn parent_process(&self) -> Option<(u32, String)> {
        self.0.raw.identity().parent
    }

    /// The processes that this context started and that have not ended; those that have are reaped.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// for p in ctx.active_children() {
    ///     p.terminate()?;
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn active_children(&self) -> Vec<Process> {
        self.0.alive()
    }

    /// The number of CPUs that the processes can use.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let busy = ctx.cpu_count().div_ceil(2); // leaves the other half to others
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").workers(busy).build()?;
    /// # drop(pool);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn cpu_count(&self) -> usize {
        self.0.raw.cpu_count()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Waits until at least one of several queues, pipes and processes is ready, and says which are.
///
/// ```no_run
/// # use procbox_core::{Context, Process, Queue, Result, Wait, ready};
/// # fn example(ctx: Context, q: Queue<u32>, p: Process) -> Result<()> {
/// let those = [q.waitable(), p.sentinel()?];
/// for index in ready(&ctx, &those, Wait::Forever)? {
///     println!("{index} is ready");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::TimedOut`], [`Error::Interrupted`] on Ctrl-C, [`Error::ForeignHandle`] for something of
/// another context, [`Error::Invalid`] for a wait for ever for nothing.
pub fn ready(ctx: &Context, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
    if those.is_empty() && wait == Wait::Forever {
        return Err(Error::Invalid("there is nothing to wait for, and no end of it".into()));
    }
    ctx.0.raw.ready(those, wait)
}
