//! A context: a backend and its defaults. It makes primitives, processes and pools.

mod raw;

pub use raw::{Backend, RawContext};

use crate::{
    Bounds, Bytes, Entry, Error, Event, Identity, Lock, Message, Pipe, PoolBuilder, Process,
    ProcessBuilder, ProcessSpec, Queue, RawProcess, Receiver, Result, Runnable, Semaphore, Sender,
    Untyped, Wait, Waitable, Worker, WorkerInfo,
};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What the clones of a context share.
pub(crate) struct ContextInner {
    raw: Arc<dyn RawContext>,
    started: AtomicU64,
    children: Mutex<Vec<Process>>,
}

impl ContextInner {
    pub(crate) fn next_name(&self) -> String {
        format!("Process-{}", self.started.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        if self.raw.identity().daemon {
            return Err(Error::DaemonStart);
        }
        self.raw.start(spec)
    }

    /// Keeps a started process for `active_children` and for the end of the context.
    pub(crate) fn remember(&self, process: &Process) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        // Forget the ended ones now and then: when the list has doubled.
        if children.len() == children.capacity() {
            children.retain(Process::is_alive);
        }
        children.push(process.clone());
    }

    fn alive(&self) -> Vec<Process> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain(Process::is_alive);
        children.clone()
    }
}

impl Drop for ContextInner {
    /// Daemons end with their parent; the others are joined.
    fn drop(&mut self) {
        let children = self.alive();
        for child in children.iter().filter(|c| c.daemon()) {
            let _ = child.terminate();
        }
        for child in children {
            if child.join() == Err(Error::Interrupted) {
                let _ = child.kill();
            }
        }
    }
}

/// A backend and its defaults: makes primitives, processes and pools.
///
/// Clones are the same context. When the last is dropped, its daemon processes are terminated and
/// the others are joined, as at the end of a Python program.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let q = ctx.queue::<u32>(16)?;
/// let p = ctx.worker("writer").args((&q, 3u32)).start()?;
/// for _ in 0..3 {
///     println!("{}", q.get()?);
/// }
/// p.join()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Context(Arc<ContextInner>);

/// A context that does not keep its processes: see [`Context::downgrade`].
#[derive(Clone, Debug)]
pub struct WeakContext(Weak<ContextInner>);

impl WeakContext {
    /// The context, unless the last clone of it was dropped.
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
    pub fn downgrade(&self) -> WeakContext {
        WeakContext(Arc::downgrade(&self.0))
    }

    /// Wraps a backend.
    pub fn from_raw(raw: Arc<dyn RawContext>) -> Context {
        Context(Arc::new(ContextInner {
            raw,
            started: AtomicU64::new(0),
            children: Mutex::new(Vec::new()),
        }))
    }

    /// The backend.
    pub fn raw(&self) -> &Arc<dyn RawContext> {
        &self.0.raw
    }

    /// Which backend this is.
    pub fn backend(&self) -> Backend {
        self.0.raw.backend()
    }

    /// A lock that nobody holds.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn lock(&self) -> Result<Lock> {
        self.0.raw.lock().map(Lock::from_raw)
    }

    /// A semaphore with this many permits.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn semaphore(&self, permits: usize) -> Result<Semaphore> {
        self.0.raw.semaphore(permits).map(Semaphore::from_raw)
    }

    /// An event that is clear.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn event(&self) -> Result<Event> {
        self.0.raw.event().map(Event::from_raw)
    }

    /// A queue that holds at most `messages`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is 0, [`Error::Exhausted`].
    pub fn queue<T>(&self, messages: usize) -> Result<Queue<T>> {
        self.queue_with(Bounds { messages: Some(messages), ..Bounds::default() })
    }

    /// A queue that holds as many messages as fit into [`Bounds::MAX_BYTES`].
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn unbounded_queue<T>(&self) -> Result<Queue<T>> {
        self.queue_with(Bounds::default())
    }

    /// A queue with bounds of its own.
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
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn pipe<T>(&self) -> Result<(Pipe<T>, Pipe<T>)> {
        let (a, b) = self.0.raw.pipe(true)?;
        Ok((Pipe::from_raw(a), Pipe::from_raw(b)))
    }

    /// The two ends of a simplex pipe: what the second sends, the first receives.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn simplex_pipe<T>(&self) -> Result<(Receiver<T>, Sender<T>)> {
        let (a, b) = self.0.raw.pipe(false)?;
        Ok((Receiver::from_raw(a), Sender::from_raw(b)))
    }

    /// A process of one of this program's own workers; its arguments are checked at compile time.
    pub fn process<P, R, F>(&self, worker: Worker<P, R, F>) -> ProcessBuilder<P> {
        self.builder(Entry::Call(worker.name().to_string()))
    }

    /// A process of a worker that is a struct with a `run`.
    pub fn process_of<W: Runnable>(&self, worker: &W) -> ProcessBuilder<(W,)> {
        let mut builder: ProcessBuilder<(W,)> = self.builder(Entry::Call(W::NAME.to_string()));
        match Message::of(&(worker,)) {
            Ok(message) => builder.spec.message = message,
            Err(e) => builder.error = Some(e),
        }
        builder
    }

    /// A process of a worker of the context's program, by name. The worker checks that the arguments
    /// decode; their types have to be the worker's to the letter (`3u32`, not `3`).
    pub fn worker(&self, name: &str) -> ProcessBuilder<Untyped> {
        self.builder(Entry::Call(name.to_string()))
    }

    /// A process of the program's `main`, with these arguments.
    pub fn main<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> ProcessBuilder<()> {
        self.builder(Entry::Main(args.into_iter().map(Into::into).collect()))
    }

    /// A process of any entry, for the pool.
    pub(crate) fn with_entry<P>(&self, entry: Entry) -> ProcessBuilder<P> {
        self.builder(entry)
    }

    fn builder<P>(&self, entry: Entry) -> ProcessBuilder<P> {
        let me = self.0.raw.identity();
        let spec = ProcessSpec::new(
            entry,
            Identity {
                name: String::new(),
                pid: 0,
                daemon: me.daemon,
                authkey: me.authkey,
                parent: Some((me.pid, me.name)),
            },
        );
        ProcessBuilder {
            context: self.0.clone(),
            spec,
            error: None,
            named: false,
            args: PhantomData,
        }
    }

    /// A pool of processes of one of this program's own workers.
    pub fn pool<P, R, F>(&self, worker: Worker<P, R, F>) -> PoolBuilder<P, R> {
        PoolBuilder::new(self.clone(), Entry::Serve(worker.name().to_string()))
    }

    /// A pool of a worker of the context's program, by name. The worker checks the arguments.
    pub fn pool_of<P, R>(&self, name: &str) -> PoolBuilder<P, R> {
        PoolBuilder::new(self.clone(), Entry::Serve(name.to_string()))
    }

    /// A pool over a program that knows nothing of procbox: each task is one run of its `main`,
    /// with the task's bytes on stdin; what it prints is the result.
    pub fn pool_of_main<S: Into<String>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> PoolBuilder<(Bytes,), Bytes> {
        PoolBuilder::new(self.clone(), Entry::Main(args.into_iter().map(Into::into).collect()))
    }

    /// What the context's program offers.
    ///
    /// # Errors
    /// [`Error::NotRunnable`].
    pub fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.0.raw.workers()
    }

    /// Who the calling process is.
    pub fn current_process(&self) -> Identity {
        self.0.raw.identity()
    }

    /// The pid and name of the calling process's parent; `None` in the first process.
    pub fn parent_process(&self) -> Option<(u32, String)> {
        self.0.raw.identity().parent
    }

    /// The processes that this context started and that have not ended; those that have are reaped.
    pub fn active_children(&self) -> Vec<Process> {
        self.0.alive()
    }

    /// How many CPUs the processes can use.
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
/// another context.
pub fn ready(ctx: &Context, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
    ctx.0.raw.ready(those, wait)
}
