//! A channel: what queues, pipes and the backlogs of listeners are made of. Many put and many take,
//! in order; it has bounds, and it can be closed.

use crate::account::{Account, Charge, OBJECT, Reserve};
use crate::blocked::Server;
use crate::cycles::{Cargo, Carrier};
use crate::ready::Source;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::wait_list::WaitList;
use crate::waiting::{self, number};
use procbox_core::observe::Operation;
use procbox_core::raw::{Bounds, Side, Watch};
use procbox_core::{Error, Result, Wait};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;

/// A thing that can travel through a channel: it is in there whole, or not at all.
pub(crate) trait Item: Send + 'static {
    /// Bytes of it that count against the channel's bound.
    fn size(&self) -> usize;

    /// Bytes of the host that the channel's account has for it.
    fn cost(&self) -> usize;

    /// Adds the addresses of the carriers that it holds; see `cycles`.
    fn carriers(&self, _: &mut Vec<usize>) {}

    /// True if it holds one.
    fn carries(&self) -> bool {
        false
    }
}

struct Items<T> {
    queued: VecDeque<T>,
    /// The bytes of all together.
    bytes: usize,
    /// Somebody waits for room in bytes, so that a place may not do for who is woken first.
    short_of_bytes: bool,
    closed: bool,
    /// What the account has for them.
    reserve: Reserve,
    /// How many of them hold carriers.
    carrying: usize,
    /// How often such a one came or went.
    moves: u64,
    /// It is listed as a carrier itself.
    listed: bool,
}

/// A channel of items of one type.
pub(crate) struct Channel<T> {
    this: Weak<Channel<T>>,
    pub(crate) runtime: Arc<Runtime>,
    account: Arc<Account>,
    _charge: Charge,
    /// The carrier that holds it: a queue itself, or an end of a pipe.
    carrier: OnceLock<Weak<dyn Carrier>>,
    /// Whose references say who can put and who can take: a queue itself, or the ends of a pipe.
    ends: OnceLock<[Weak<dyn Any + Send + Sync>; 2]>,
    bounds: Bounds,
    items: Mutex<Items<T>>,
    /// An item came, or it was closed: one taker each.
    filled: WaitList,
    /// There is room, or it was closed.
    drained: WaitList,
    /// For those that look and do not take: woken all at once, so that they keep no taker asleep.
    watched: WaitList,
}

impl<T: Item> Channel<T> {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        account: Arc<Account>,
        bounds: Bounds,
    ) -> Result<Arc<Channel<T>>> {
        let charge = account.charge(OBJECT)?;
        let items = Items {
            queued: VecDeque::new(),
            bytes: 0,
            short_of_bytes: false,
            closed: false,
            reserve: Reserve::default(),
            carrying: 0,
            moves: 0,
            listed: false,
        };
        Ok(Arc::new_cyclic(|this| Channel {
            this: this.clone(),
            runtime,
            account,
            _charge: charge,
            carrier: OnceLock::new(),
            ends: OnceLock::new(),
            bounds,
            items: Mutex::new(items),
            filled: WaitList::new(),
            drained: WaitList::new(),
            watched: WaitList::new(),
        }))
    }

    /// Says which carrier receives what is in it, once.
    pub(crate) fn received_by(&self, carrier: Weak<dyn Carrier>) {
        // It is set where it is made, and nowhere else.
        let _ = self.carrier.set(carrier);
    }

    /// Says what is referred to by those who can put, and by those who can take, once.
    pub(crate) fn between(
        &self,
        putting: Weak<dyn Any + Send + Sync>,
        taking: Weak<dyn Any + Send + Sync>,
    ) {
        let _ = self.ends.set([putting, taking]);
    }

    /// Those who can put.
    pub(crate) fn putters(&self) -> Server {
        self.end(0)
    }

    /// Those who can take.
    pub(crate) fn takers(&self) -> Server {
        self.end(1)
    }

    fn end(&self, which: usize) -> Server {
        match self.ends.get() {
            Some(ends) => Server::Referrers { thing: ends[which].clone(), is_bed: false },
            None => Server::Unknown,
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.items).queued.len()
    }

    /// Says whether an item of this size will ever fit.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub(crate) fn check_size(&self, size: usize) -> Result<()> {
        let limit = self.bounds.bytes;
        if size > limit { Err(Error::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Takes the item out of `slot` if there is room; `None` if there is not.
    #[inline]
    pub(crate) fn try_put(&self, slot: &mut Option<T>) -> Option<Result<()>> {
        self.put_now(slot, true)
    }

    /// The account has nothing left for the item: another try, if room can be made.
    #[cold]
    fn put_again(&self, slot: &mut Option<T>, again: bool, why: Error) -> Option<Result<()>> {
        if again && self.account.make_room() { self.put_now(slot, false) } else { Some(Err(why)) }
    }

    /// Has the account count an item.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    #[inline]
    fn count(&self, items: &mut Items<T>, size: usize, cost: usize) -> Result<()> {
        self.account.queued.take(size + Bounds::OVERHEAD)?;
        if items.reserve.need(cost, &self.account) {
            return Ok(());
        }
        self.account.queued.give(size + Bounds::OVERHEAD);
        Err(self.account.exhausted())
    }

    fn put_now(&self, slot: &mut Option<T>, again: bool) -> Option<Result<()>> {
        let size = slot.as_ref().map_or(0, T::size);
        let mut items = lock(&self.items);
        if items.closed {
            return Some(Err(Error::Closed));
        }
        if items.bytes + size > self.bounds.bytes {
            items.short_of_bytes = true;
            return None;
        }
        if items.queued.len() >= self.bounds.most_messages() {
            return None;
        }
        let cost = slot.as_ref().map_or(0, T::cost);
        if let Err(why) = self.count(&mut items, size, cost) {
            // Unlocked: it may be one of those that are looked at.
            drop(items);
            return self.put_again(slot, again, why);
        }
        let mut is_new = false;
        if let Some(item) = slot.take() {
            items.bytes += size;
            if item.carries() {
                items.carrying += 1;
                items.moves += 1;
                is_new = !std::mem::replace(&mut items.listed, true);
            }
            items.queued.push_back(item);
        }
        drop(items);
        if is_new && let Some(carrier) = self.carrier.get() {
            self.account.carriers.enter(carrier.clone());
        }
        self.filled.wake_ordered(1);
        self.watched.wake_ordered(usize::MAX);
        Some(Ok(()))
    }

    /// Puts an item, waiting for room.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub(crate) async fn put(&self, item: T) -> Result<()> {
        let mut slot = Some(item);
        waiting::until(&self.runtime, &self.drained, || self.try_put(&mut slot)).await
    }

    /// Puts an item on the calling thread: out of `slot`, where it stays if that fails.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn block_put(
        &self,
        slot: &mut Option<T>,
        wait: Wait,
        operation: Operation,
    ) -> Result<()> {
        if let Some(answer) = self.try_put(slot) {
            return answer;
        }
        let put = move || async move {
            waiting::until(&self.runtime, &self.drained, || self.try_put(slot)).await
        };
        waiting::block(&self.runtime, wait, (operation, number(self)), || None, put)
    }

    /// Takes the first item; `None` if there is none.
    pub(crate) fn try_take(&self) -> Option<Result<T>> {
        let mut items = lock(&self.items);
        match items.queued.pop_front() {
            Some(item) => {
                items.bytes -= item.size();
                self.account.queued.give(item.size() + Bounds::OVERHEAD);
                if items.reserve.release(item.cost(), &self.account) {
                    items.shrink();
                }
                if item.carries() {
                    items.carrying -= 1;
                    items.moves += 1;
                }
                // Room in bytes may let several in, or another than who is first; a place lets in one.
                let all = std::mem::take(&mut items.short_of_bytes);
                drop(items);
                self.drained.wake_ordered(if all { usize::MAX } else { 1 });
                Some(Ok(item))
            }
            None if items.closed => Some(Err(Error::Closed)),
            None => None,
        }
    }

    /// Takes the first item, waiting for it.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub(crate) async fn take(&self) -> Result<T> {
        waiting::until(&self.runtime, &self.filled, || self.try_take()).await
    }

    /// Takes the first item on the calling thread.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn block_take(&self, wait: Wait, operation: Operation) -> Result<T> {
        let on = (operation, number(self));
        waiting::block(&self.runtime, wait, on, || self.try_take(), || self.take())
    }

    /// Waits on the calling thread until a take would not wait.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn block_until_ready(&self, wait: Wait) -> Result<()> {
        let ready = || self.is_ready().then_some(Ok(()));
        let sleep = || waiting::until(&self.runtime, &self.watched, ready);
        let on = (Operation::PipeRecv, number(self));
        waiting::block(&self.runtime, wait, on, ready, sleep)
    }

    /// Has a waker of the embedding program woken as one who waits to take, or to put.
    pub(crate) fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        match side {
            Side::Items => waiting::watch(&self.runtime, &self.this, |own| &own.filled, waker),
            Side::Room => waiting::watch(&self.runtime, &self.this, |own| &own.drained, waker),
        }
    }

    /// Closes it: nothing comes in any more, and what is in it can still be taken.
    pub(crate) fn close(&self) {
        lock(&self.items).closed = true;
        self.wake_all();
    }

    /// Closes it and drops what is in it: nobody will take it.
    pub(crate) fn abandon(&self) {
        let dropped = lock(&self.items).take(&self.account);
        // Dropped unlocked: a message may carry the last handle of this very channel's other end.
        drop(dropped);
        self.wake_all();
    }

    /// True if there are carriers in its messages.
    pub(crate) fn carries(&self) -> bool {
        lock(&self.items).carrying > 0
    }

    /// Its messages, locked, for who looks for circles.
    pub(crate) fn cargo(&self) -> Box<dyn Cargo + '_> {
        Box::new(Locked { items: lock(&self.items), account: &self.account })
    }

    pub(crate) fn wake_all(&self) {
        self.filled.wake_ordered(usize::MAX);
        self.drained.wake_ordered(usize::MAX);
        self.watched.wake_ordered(usize::MAX);
    }
}

impl<T> Items<T> {
    /// Gives back the room of messages that were there once, when most of it is empty.
    fn shrink(&mut self) {
        if self.queued.capacity() / 4 > self.queued.len() {
            self.queued.shrink_to(self.queued.len() * 2);
        }
    }

    /// Closes it and takes out what is in it.
    fn take(&mut self, account: &Account) -> VecDeque<T> {
        self.closed = true;
        self.forget(account);
        (self.bytes, self.carrying) = (0, 0);
        self.moves += 1;
        std::mem::take(&mut self.queued)
    }

    /// Has the account count none of them any more.
    fn forget(&mut self, account: &Account) {
        account.queued.give(self.bytes + self.queued.len() * Bounds::OVERHEAD);
        self.reserve.clear(account);
    }
}

/// What is in a channel, for who looks for circles.
struct Locked<'a, T> {
    items: MutexGuard<'a, Items<T>>,
    account: &'a Account,
}

impl<T: Item> Cargo for Locked<'_, T> {
    fn is_listed(&mut self) -> bool {
        self.items.listed = self.items.carrying > 0;
        self.items.listed
    }

    fn held(&self) -> Vec<usize> {
        let mut held = Vec::new();
        self.items.queued.iter().for_each(|item| item.carriers(&mut held));
        held
    }

    fn moves(&self) -> u64 {
        self.items.moves
    }

    fn take(&mut self) -> Box<dyn Send> {
        Box::new(self.items.take(self.account))
    }
}

impl<T> Drop for Channel<T> {
    fn drop(&mut self) {
        let items = self.items.get_mut().unwrap_or_else(PoisonError::into_inner);
        items.forget(&self.account);
    }
}

impl<T: Item> Source for Channel<T> {
    fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    fn is_ready(&self) -> bool {
        let items = lock(&self.items);
        items.closed || !items.queued.is_empty()
    }

    fn changed(&self) -> &WaitList {
        &self.watched
    }

    fn server(&self) -> Server {
        self.putters()
    }
}
