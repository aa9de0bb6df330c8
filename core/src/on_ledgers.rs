//! The methods of a context that make what stands on ledgers.

use crate::ledger::Ledger;
use crate::{
    Barrier, BoundedSemaphore, Condition, Context, JoinableQueue, Lock, Once, RLock, Result, RwLock,
};

impl Context {
    fn ledger(&self) -> Result<Ledger> {
        self.raw().ledger().map(Ledger::from_raw)
    }

    /// A lock that its holder may take again.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rlock()?;
    /// let _guards = (lock.lock()?, lock.lock()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted).
    pub fn rlock(&self) -> Result<RLock> {
        Ok(RLock::new(self.lock()?, self.ledger()?))
    }

    /// A semaphore that never has more permits than these.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let two = ctx.bounded_semaphore(2)?;
    /// assert!(two.release().is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for more than 2^31 - 1,
    /// [`Error::Exhausted`](crate::Error::Exhausted).
    pub fn bounded_semaphore(&self, permits: usize) -> Result<BoundedSemaphore> {
        BoundedSemaphore::new(self.ledger()?, permits)
    }

    /// A condition with a lock of its own.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let changed = ctx.condition()?;
    /// let guard = changed.lock()?;
    /// changed.notify_all()?;
    /// # drop(guard);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted).
    pub fn condition(&self) -> Result<Condition> {
        self.condition_of(&self.lock()?)
    }

    /// A condition of a lock that there is, such as one that several conditions share.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.lock()?;
    /// let (filled, emptied) = (ctx.condition_of(&lock)?, ctx.condition_of(&lock)?);
    /// let guard = filled.lock()?;
    /// assert!(emptied.try_lock().is_err()); // it is the same lock
    /// # drop(guard);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted).
    pub fn condition_of(&self, lock: &Lock) -> Result<Condition> {
        Ok(Condition::new(lock.clone(), self.ledger()?))
    }

    /// A barrier for so many parties.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let barrier = ctx.barrier(1)?;
    /// assert!(barrier.wait()?.is_last());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for none,
    /// [`Error::Exhausted`](crate::Error::Exhausted).
    pub fn barrier(&self, parties: usize) -> Result<Barrier> {
        Barrier::new(self.ledger()?, parties)
    }

    /// A queue of at most so many items, which knows which are done.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.joinable_queue::<u32>(16)?;
    /// q.put(&1)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::queue`].
    pub fn joinable_queue<T>(&self, items: usize) -> Result<JoinableQueue<T>> {
        Ok(JoinableQueue::new(self.queue(items)?, self.ledger()?))
    }

    /// The same without a bound but that of all queues.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.unbounded_joinable_queue::<u32>()?;
    /// q.put(&1)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::unbounded_queue`].
    pub fn unbounded_joinable_queue<T>(&self) -> Result<JoinableQueue<T>> {
        Ok(JoinableQueue::new(self.unbounded_queue()?, self.ledger()?))
    }

    /// A lock that many may have to read, or one to write.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rwlock()?;
    /// let _both = (lock.read()?, lock.read()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted).
    pub fn rwlock(&self) -> Result<RwLock> {
        self.ledger().map(RwLock::of)
    }

    /// Something that is to be done once.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let once = ctx.once()?;
    /// once.call(|_| Ok(println!("done")))?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted).
    pub fn once(&self) -> Result<Once> {
        self.ledger().map(Once::of)
    }
}
