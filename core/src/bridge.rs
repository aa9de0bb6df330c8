//! The bridge: two contexts side by side, whose processes have their primitives in common.
//!
//! All primitives are those of the first, which makes them and whose processes use them as they do
//! without a bridge. Processes of the second reach them through the program that embeds these. What is
//! here is the context that has both; the rest is up to the backends: see [`RawContext::number_of`] on
//! the one side and [`RawContext::beside`] on the other.

use crate::random::Random;
use crate::raw::{
    Address, Backend, Bounds, Handle, Identity, Life, ProcessSpec, RawConnection, RawContext,
    RawEvent, RawLedger, RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawRegion,
    RawSemaphore, Side, Waitable, Watch, WorkerInfo,
};
use crate::sync::lock;
use crate::time::Clock;
use crate::{Context, Error, Result, Wait};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

impl Context {
    /// A bridge between two contexts: processes of either share its primitives. A lock, semaphore, event,
    /// queue or end of a pipe that the bridge makes can be handed to a process on either side, and so can
    /// those that such processes make; what happens when a holder is killed is the same on both sides. The
    /// primitives are `native`'s; processes of `sandboxed` reach them through this program, whose end is
    /// theirs.
    ///
    /// On which side a process runs is said by [`ProcessBuilder::on`](crate::ProcessBuilder::on), and of a
    /// pool by [`PoolBuilder::native`](crate::PoolBuilder::native) and
    /// [`PoolBuilder::sandboxed`](crate::PoolBuilder::sandboxed). Handles of what `native` made alone may
    /// cross too. What is made by `sandboxed` alone does not, nor do listeners and processes.
    ///
    /// ```no_run
    /// use procbox_core::{Backend, Context};
    /// # fn example(native: Context, sandboxed: Context) -> procbox_core::Result<()> {
    /// let ctx = Context::bridge(&native, &sandboxed)?;
    /// let q = ctx.queue::<u32>(16)?;
    /// let trusted = ctx.process("writer").args((&q, 3u32)).on(Backend::Native).start()?;
    /// let stranger = ctx.process("writer").args((&q, 3u32)).on(Backend::Sandbox).start()?;
    /// for _ in 0..6 {
    ///     println!("{}", q.get()?);
    /// }
    /// trusted.join()?;
    /// stranger.join()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the first is not one of OS processes, or the second not one of sandboxed
    /// ones.
    pub fn bridge(native: &Context, sandboxed: &Context) -> Result<Context> {
        let (first, second) = (native.raw(), sandboxed.raw());
        if first.number_of(&Handle::Event(first.event()?)).is_none() {
            return Err(Error::Unsupported("a bridge whose primitives are of this backend"));
        }
        let sides = [first.clone(), second.beside(first)?];
        Ok(Context::from_raw(Arc::new(Mixed { sides, bells: Mutex::default() })))
    }

    /// One side of a bridge, as a context: all its processes run there, and its primitives, but for those
    /// that are of one side only, are the bridge's. A context that is of this backend is its own only side.
    ///
    /// ```no_run
    /// use procbox_core::{Backend, Context};
    /// # fn example(native: Context, sandboxed: Context) -> procbox_core::Result<()> {
    /// let bridge = Context::bridge(&native, &sandboxed)?;
    /// let strangers = bridge.on(Backend::Sandbox)?;
    /// let p = strangers.process("writer").args((&bridge.queue::<u32>(1)?, 1u32)).start()?;
    /// p.join()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it has no such side.
    pub fn on(&self, backend: Backend) -> Result<Context> {
        if backend == self.backend() {
            return Ok(self.clone());
        }
        side_of(self.raw(), backend).map(Context::from_raw)
    }
}

/// The context on whose side such processes run.
///
/// # Errors
/// [`Error::Unsupported`] if there is none.
pub(crate) fn side_of(raw: &Arc<dyn RawContext>, backend: Backend) -> Result<Arc<dyn RawContext>> {
    if backend == raw.backend() {
        return Ok(raw.clone());
    }
    raw.side(backend).ok_or(Error::Unsupported("processes of another backend than the context's"))
}

/// The raw context of a bridge.
struct Mixed {
    /// The one that has the primitives, and the one beside it.
    sides: [Arc<dyn RawContext>; 2],
    /// Bells that no wait uses now.
    bells: Mutex<Vec<Arc<dyn RawQueue>>>,
}

/// A queue of the first side into which something is put when there may be news on the second: one who
/// waits for things of both waits for it on the first, where a wait ends by Ctrl-C and at its time.
struct Bell(Arc<dyn RawQueue>);

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        // If it is full, it has rung.
        let _ = self.0.put(&[], &[], Wait::Never);
    }
}

/// Has `waker` woken when one of several things may be ready.
fn watch(it: &Waitable, waker: &Waker) -> Result<Watch> {
    let watch = match it {
        Waitable::Queue(raw) => raw.watch(Side::Items, waker),
        Waitable::Pipe(raw) => raw.watch(Side::Items, waker),
        Waitable::Process(raw) => raw.watch(waker),
        Waitable::Connection(raw) => raw.watch(waker),
        Waitable::Listener(raw) => raw.watch(waker),
    };
    watch?.ok_or(Error::Unsupported("waiting for things of two backends at once"))
}

/// Things of one side, and their places among all.
#[derive(Default)]
struct Those {
    things: Vec<Waitable>,
    places: Vec<usize>,
}

impl Those {
    fn push(&mut self, place: usize, it: &Waitable) {
        self.places.push(place);
        self.things.push(it.clone());
    }

    /// The places of those that are ready now.
    fn ready(&self, side: &Arc<dyn RawContext>) -> Result<Vec<usize>> {
        if self.things.is_empty() {
            return Ok(Vec::new());
        }
        match side.ready(&self.things, Wait::Never) {
            Ok(indices) => {
                Ok(indices.into_iter().filter_map(|i| self.places.get(i).copied()).collect())
            }
            Err(Error::TimedOut) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}

impl Mixed {
    fn first(&self) -> &Arc<dyn RawContext> {
        &self.sides[0]
    }

    /// Those of each side.
    fn sorted(&self, those: &[Waitable]) -> Result<[Those; 2]> {
        let mut sorted = [Those::default(), Those::default()];
        for (place, it) in those.iter().enumerate() {
            let is_ready = self.first().ready(std::slice::from_ref(it), Wait::Never);
            match is_ready {
                Err(Error::ForeignHandle) => sorted[1].push(place, it),
                Ok(_) | Err(Error::TimedOut) => sorted[0].push(place, it),
                Err(e) => return Err(e),
            }
        }
        Ok(sorted)
    }

    /// Those of both sides that are ready now, in order.
    fn ready_now(&self, sorted: &[Those; 2]) -> Result<Vec<usize>> {
        let mut places = sorted[0].ready(&self.sides[0])?;
        places.extend(sorted[1].ready(&self.sides[1])?);
        places.sort_unstable();
        Ok(places)
    }

    /// A bell that does not ring.
    fn bell(&self) -> Result<Arc<dyn RawQueue>> {
        match lock(&self.bells).pop() {
            Some(bell) => Ok(bell),
            None => self.first().queue(Bounds::new(Some(1), 1)),
        }
    }

    /// Waits until one of them is ready, on either side.
    fn wait_for(
        &self,
        sorted: &[Those; 2],
        wait: Wait,
        bell: &Arc<dyn RawQueue>,
    ) -> Result<Vec<usize>> {
        let clock = self.clock();
        let until = wait.deadline(&*clock);
        let waker = Waker::from(Arc::new(Bell(bell.clone())));
        let mut awaited = sorted[0].things.clone();
        awaited.push(Waitable::Queue(bell.clone()));
        let mut before: Vec<Watch> = Vec::new();
        loop {
            before.iter_mut().for_each(Watch::about_to_try);
            // What came before the watches began is seen here, and what comes later rings.
            let watches = sorted[1].things.iter().map(|it| watch(it, &waker));
            let watches = watches.collect::<Result<Vec<_>>>()?;
            let ready = self.ready_now(sorted)?;
            if !ready.is_empty() {
                // Nothing is taken here: others who were to be woken for it are.
                return Ok(ready);
            }
            before.into_iter().for_each(|watch| watch.tried(false));
            before = watches;
            self.first().ready(&awaited, until.wait(&*clock))?;
            // Whoever rang an old wait's bell rang for nobody.
            let _ = bell.get(&mut crate::raw::Message::default(), Wait::Never);
        }
    }
}

impl RawContext for Mixed {
    fn backend(&self) -> Backend {
        Backend::Mixed
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        self.first().lock()
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        self.first().semaphore(permits)
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        self.first().event()
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        self.first().queue(bounds)
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        self.first().pipe(duplex)
    }

    fn ledger(&self) -> Result<Arc<dyn RawLedger>> {
        self.first().ledger()
    }

    fn region(&self, bytes: usize) -> Result<Arc<dyn RawRegion>> {
        self.first().region(bytes)
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        self.first().listen(address)
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        self.first().connect(address, wait)
    }

    fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        match spec.side.and_then(|backend| self.side(backend)) {
            Some(side) => side.start(spec),
            None => Err(Error::Invalid(
                "a process of a bridge runs on one of its sides: say `.on(Backend::Native)` or \
                 `.on(Backend::Sandbox)`, and of a pool `.native(n)` and `.sandboxed(n)`"
                    .into(),
            )),
        }
    }

    fn number_of(&self, handle: &Handle) -> Option<u64> {
        self.first().number_of(handle)
    }

    fn life_of(&self, handle: &Handle) -> Option<Box<dyn Life>> {
        self.first().life_of(handle)
    }

    fn side(&self, backend: Backend) -> Option<Arc<dyn RawContext>> {
        self.sides.iter().find(|side| side.backend() == backend).cloned()
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        let sorted = self.sorted(those)?;
        for (side, own) in self.sides.iter().zip(&sorted) {
            if own.things.len() == those.len() {
                return side.ready(those, wait);
            }
        }
        let ready = self.ready_now(&sorted)?;
        if !ready.is_empty() {
            return Ok(ready);
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        let bell = self.bell()?;
        let ready = self.wait_for(&sorted, wait, &bell);
        lock(&self.bells).push(bell);
        ready
    }

    /// Those of both sides; what both have is there once.
    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let mut workers = self.sides[0].workers()?;
        for worker in self.sides[1].workers()? {
            if !workers.iter().any(|known| known.identity == worker.identity) {
                workers.push(worker);
            }
        }
        Ok(workers)
    }

    fn identity(&self) -> Identity {
        self.first().identity()
    }

    fn cpu_count(&self) -> usize {
        self.first().cpu_count()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.first().clock()
    }

    fn random(&self) -> Arc<dyn Random> {
        self.first().random()
    }
}
