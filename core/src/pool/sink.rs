//! Sinks of the ends of tasks: one value, a list in order, and the callbacks that wait for them.

use crate::observe::{self, Event};
use crate::raw::Handle;
use crate::runner::wire::Reader;
use crate::sync::lock;
use crate::{Error, Result, TaskUsage, codec};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Waker;

/// The encoded result of a task, or why there is none.
pub(super) type TaskOutcome<'a> = Result<(&'a [u8], &'a [Handle])>;

/// Something to do once the pool's state is unlocked, so that a callback may use the pool.
pub(super) type Deferred = Box<dyn FnOnce() + Send>;

/// The telling of how tasks ended to those who watch, for one sink: it alone knows what could be
/// decoded.
#[derive(Clone, Copy)]
pub(super) struct Tell<'a> {
    pool: u64,
    /// The pool's number of the task whose index is 0.
    origin: u64,
    /// What the task has used, if it is one and that was measured.
    used: Option<&'a TaskUsage>,
}

impl<'a> Tell<'a> {
    /// For a sink whose index `base` is the pool's task `first`.
    pub(super) fn new(pool: u64, first: u64, base: usize, used: Option<&'a TaskUsage>) -> Tell<'a> {
        Tell { pool, origin: first.wrapping_sub(base as u64), used }
    }

    /// What the task has used, to be kept.
    pub(super) fn used(self) -> Option<Box<TaskUsage>> {
        self.used.map(|used| Box::new(*used))
    }

    #[inline]
    fn end<T>(self, index: usize, result: &Result<T>) {
        let (pool, task) = (self.pool, self.origin.wrapping_add(index as u64));
        if let Some(usage) = self.used {
            observe::emit(|| Event::TaskMeasured { pool, task, usage });
        }
        observe::emit(|| match result {
            Ok(_) => Event::TaskDone { pool, task },
            Err(error) => Event::TaskFailed { pool, task, error },
        });
    }
}

/// The receiver of the ends of tasks, which the driver puts there. Each index comes exactly once.
pub(super) trait Sink: Send + Sync {
    fn complete(&self, index: usize, outcome: TaskOutcome<'_>, tell: Tell<'_>) -> Option<Deferred>;

    /// Takes the ends of a chunk's tasks, from index `base` on: at most `most`, and no more than there
    /// are or make sense. Says how many.
    fn complete_all(
        &self,
        base: usize,
        most: usize,
        ends: &mut Reader<'_>,
        tell: Tell<'_>,
        deferred: &mut Vec<Deferred>,
    ) -> usize {
        let mut index = base;
        while index < base + most
            && let Some(outcome) = ends.next_end()
        {
            deferred.extend(self.complete(index, outcome, tell));
            index += 1;
        }
        index - base
    }
}

/// Room is made for at most so many values before they come: a hint of how many may be wrong.
const MOST_RESERVED: usize = 1 << 20;

/// Called with the result when it is there.
pub(super) type Callback<R> = Box<dyn FnOnce(&Result<R>) + Send>;

#[inline]
fn decode<R: DeserializeOwned>(outcome: TaskOutcome<'_>) -> Result<R> {
    outcome.and_then(|(bytes, handles)| codec::decode(bytes, handles))
}

/// The error of a task whose result's `Deserialize` panicked: the task has ended all the same.
#[cold]
fn panicked<R>(panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let why = format!("its Deserialize panicked: {}", said.unwrap_or("with a value of its own"));
    Error::Decode { type_name: std::any::type_name::<R>(), why }
}

/// The result of the task of this index; those who watch are told.
pub(super) fn decoded<R: DeserializeOwned>(
    outcome: TaskOutcome<'_>,
    index: usize,
    tell: Tell<'_>,
) -> Result<R> {
    let result = catch_unwind(AssertUnwindSafe(|| decode(outcome)));
    let result = result.unwrap_or_else(|panic| Err(panicked::<R>(&*panic)));
    tell.end(index, &result);
    result
}

/// A sink that in the end has one value.
pub(super) trait Promise<R>: Sink {
    fn is_ready(&self) -> bool;
    fn peek(&self) -> Option<bool>;
    fn take(&self) -> Option<Result<R>>;
    /// What it took, if it is ready and that was measured.
    fn used(&self) -> Option<TaskUsage>;
    /// Has a waker woken when the result is there, unless it is: the number of that.
    fn watch(&self, waker: &Waker) -> Option<u64>;
    /// Does not have it woken any more.
    fn unwatch(&self, number: u64);
}

/// A value that may have come, and the callback that waits for it.
type Slot<R> = (Option<Result<R>>, Option<Callback<R>>);

/// The value of a promise: written once, then taken.
struct Cell<R> {
    ready: AtomicBool,
    value: Mutex<Slot<R>>,
    used: OnceLock<Box<TaskUsage>>,
    /// Those who are polled for it, by their numbers, of which the first is the next.
    wakers: Mutex<(u64, Wakers)>,
}

type Wakers = Vec<(u64, Waker)>;

fn wake(wakers: Wakers) {
    for (_, waker) in wakers {
        // One that panics takes no other with it; the panic hook has reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}

/// A value that is published once its callback has been called, also if that panicked.
struct Promised<R> {
    cell: Arc<Cell<R>>,
    value: Option<Result<R>>,
}

impl<R> Drop for Promised<R> {
    fn drop(&mut self) {
        self.value.take().into_iter().for_each(|value| wake(self.cell.publish(value)));
    }
}

impl<R> Cell<R> {
    fn new(then: Option<Callback<R>>) -> Cell<R> {
        let value = Mutex::new((None, then));
        let wakers = Mutex::default();
        Cell { ready: AtomicBool::new(false), value, used: OnceLock::new(), wakers }
    }

    fn set(self: &Arc<Self>, value: Result<R>, used: Option<Box<TaskUsage>>) -> Option<Deferred>
    where
        R: Send + 'static,
    {
        if let Some(used) = used {
            // It is set once.
            let _ = self.used.set(used);
        }
        let then = lock(&self.value).1.take();
        let Some(then) = then else {
            let wakers = self.publish(value);
            // Not under the pool's lock.
            return (!wakers.is_empty()).then(|| Box::new(move || wake(wakers)) as Deferred);
        };
        let promised = Promised { cell: self.clone(), value: Some(value) };
        Some(Box::new(move || {
            if let Some(value) = &promised.value {
                then(value);
            }
        }))
    }

    fn publish(&self, value: Result<R>) -> Wakers {
        lock(&self.value).0 = Some(value);
        // Under this lock one that watches looks whether it is there.
        let mut wakers = lock(&self.wakers);
        self.ready.store(true, Ordering::Release);
        std::mem::take(&mut wakers.1)
    }

    fn watch(&self, waker: &Waker) -> Option<u64> {
        let mut wakers = lock(&self.wakers);
        if self.is_ready() {
            return None;
        }
        wakers.0 += 1;
        let number = wakers.0;
        wakers.1.push((number, waker.clone()));
        Some(number)
    }

    fn unwatch(&self, number: u64) {
        let mut wakers = lock(&self.wakers);
        let at = wakers.1.iter().position(|(other, _)| *other == number);
        let gone = at.map(|at| wakers.1.swap_remove(at));
        drop(wakers);
        drop(gone);
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn used(&self) -> Option<TaskUsage> {
        if self.is_ready() { self.used.get().map(|used| **used) } else { None }
    }
}

/// The sink of `apply`: one task, one value.
pub(super) struct Single<R>(Arc<Cell<R>>);

impl<R> Single<R> {
    pub(super) fn new(then: Option<Callback<R>>) -> Single<R> {
        Single(Arc::new(Cell::new(then)))
    }
}

impl<R: DeserializeOwned + Send + 'static> Sink for Single<R> {
    fn complete(&self, index: usize, outcome: TaskOutcome<'_>, tell: Tell<'_>) -> Option<Deferred> {
        self.0.set(decoded(outcome, index, tell), tell.used())
    }
}

impl<R: DeserializeOwned + Send + 'static> Promise<R> for Single<R> {
    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
    fn peek(&self) -> Option<bool> {
        lock(&self.0.value).0.as_ref().map(Result::is_ok)
    }
    fn take(&self) -> Option<Result<R>> {
        lock(&self.0.value).0.take()
    }
    fn used(&self) -> Option<TaskUsage> {
        self.0.used()
    }
    fn watch(&self, waker: &Waker) -> Option<u64> {
        self.0.watch(waker)
    }
    fn unwatch(&self, number: u64) {
        self.0.unwatch(number);
    }
}

/// The values of a `map`, as they come.
struct Gathered<R> {
    /// Those from the first on without a gap.
    values: Vec<R>,
    /// Those beyond a gap: runs without one, by the index of their first.
    ahead: BTreeMap<usize, Vec<R>>,
    missing: usize,
    sealed: bool,
    /// The error with the lowest index. From then on values are of no use.
    error: Option<(usize, Error)>,
    /// What all have used so far, if that is measured.
    used: Option<Box<TaskUsage>>,
}

/// The sink of `map`: many tasks, one list.
pub(super) struct Gather<R> {
    parts: Mutex<Gathered<R>>,
    whole: Arc<Cell<Vec<R>>>,
}

impl<R> Gather<R> {
    /// For about so many values.
    pub(super) fn new(about: usize, then: Option<Callback<Vec<R>>>) -> Gather<R> {
        let parts = Gathered {
            values: Vec::with_capacity(about.min(MOST_RESERVED)),
            ahead: BTreeMap::new(),
            missing: 0,
            sealed: false,
            error: None,
            used: None,
        };
        Gather { parts: Mutex::new(parts), whole: Arc::new(Cell::new(then)) }
    }

    /// There will be `n` more values.
    pub(super) fn expect(&self, n: usize) {
        lock(&self.parts).missing += n;
    }

    /// There will be no more values than announced.
    pub(super) fn seal(&self)
    where
        R: Send + 'static,
    {
        let mut parts = lock(&self.parts);
        parts.sealed = true;
        if let Some(deferred) = self.finish(parts) {
            deferred();
        }
    }

    fn finish(&self, mut parts: MutexGuard<'_, Gathered<R>>) -> Option<Deferred>
    where
        R: Send + 'static,
    {
        if parts.sealed && parts.missing == 0 {
            let whole = match parts.error.take() {
                Some((_, e)) => Err(e),
                None => Ok(std::mem::take(&mut parts.values)),
            };
            let used = parts.used.take();
            drop(parts);
            return self.whole.set(whole, used);
        }
        None
    }
}

/// The ends of tasks in a row.
struct Ends<'a, 'b> {
    /// The first of them, if it is not in a message.
    first: Option<TaskOutcome<'a>>,
    others: Option<&'b mut Reader<'a>>,
}

impl<'a> Ends<'a, '_> {
    /// The next result, if it has no handles.
    #[inline]
    fn plain(&mut self) -> Option<&'a [u8]> {
        self.others.as_mut()?.plain_end()
    }

    /// The next end, whatever it is.
    #[cold]
    fn any(&mut self) -> Option<TaskOutcome<'a>> {
        let first = self.first.take();
        first.or_else(|| self.others.as_mut().and_then(|ends| ends.next_end()))
    }
}

impl<R: DeserializeOwned> Gathered<R> {
    /// Takes the ends of tasks in a row, from index `base` on; says how many there were.
    fn put(&mut self, base: usize, mut ends: Ends<'_, '_>, most: usize, tell: Tell<'_>) -> usize {
        if let Some(used) = tell.used {
            self.used.get_or_insert_default().add(used);
        }
        let ahead = base != self.values.len();
        let mut run =
            if ahead { Vec::with_capacity(most) } else { std::mem::take(&mut self.values) };
        let mut count = 0;
        // Asked once: it is the same for all of them, and this loop is what a `map` costs.
        let observed = observe::is_observed();
        let end = |gathered: &mut Self, run: &mut Vec<R>, count: usize, result: Result<R>| {
            if observed {
                tell.end(base + count, &result);
            }
            match result {
                Ok(value) => run.push(value),
                Err(e) => gathered.fail(base + count, e),
            }
        };
        // Caught around the loop, which costs nothing for a value; the loop goes on behind the one
        // that panicked.
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| {
            while count < most {
                let plain = ends.plain();
                if let Some(bytes) = plain
                    && !observed
                    && let Some(value) = codec::decode_plain(bytes)
                {
                    run.push(value);
                } else if let Some(outcome) =
                    plain.map(|bytes| Ok((bytes, &[][..]))).or_else(|| ends.any())
                {
                    end(self, &mut run, count, decode(outcome));
                } else {
                    break;
                }
                count += 1;
            }
        })) {
            end(self, &mut run, count, Err(panicked::<R>(&*panic)));
            count += 1;
        }
        self.missing -= count;
        if self.error.is_some() {
            self.ahead.clear();
        } else if ahead {
            self.ahead.insert(base, run);
        } else {
            self.values = run;
            while let Some(next) = self.ahead.remove(&self.values.len()) {
                self.values.extend(next);
            }
        }
        count
    }

    #[cold]
    fn fail(&mut self, index: usize, error: Error) {
        if self.error.as_ref().is_none_or(|(first, _)| index < *first) {
            self.error = Some((index, error));
        }
    }
}

impl<R: DeserializeOwned + Send + 'static> Sink for Gather<R> {
    fn complete(&self, index: usize, outcome: TaskOutcome<'_>, tell: Tell<'_>) -> Option<Deferred> {
        let mut parts = lock(&self.parts);
        parts.put(index, Ends { first: Some(outcome), others: None }, 1, tell);
        self.finish(parts)
    }

    fn complete_all(
        &self,
        base: usize,
        most: usize,
        ends: &mut Reader<'_>,
        tell: Tell<'_>,
        deferred: &mut Vec<Deferred>,
    ) -> usize {
        // Locked once for all of them.
        let mut parts = lock(&self.parts);
        let count = parts.put(base, Ends { first: None, others: Some(ends) }, most, tell);
        deferred.extend(self.finish(parts));
        count
    }
}

impl<R: DeserializeOwned + Send + 'static> Promise<Vec<R>> for Gather<R> {
    fn is_ready(&self) -> bool {
        self.whole.is_ready()
    }
    fn peek(&self) -> Option<bool> {
        lock(&self.whole.value).0.as_ref().map(Result::is_ok)
    }
    fn take(&self) -> Option<Result<Vec<R>>> {
        lock(&self.whole.value).0.take()
    }
    fn used(&self) -> Option<TaskUsage> {
        self.whole.used()
    }
    fn watch(&self, waker: &Waker) -> Option<u64> {
        self.whole.watch(waker)
    }
    fn unwatch(&self, number: u64) {
        self.whole.unwatch(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Message;
    use crate::runner::wire::{TaskEnd, Writer};
    use proptest::prelude::*;

    /// The ends of a chunk's tasks: a number each, or `None` for one that fails.
    type Chunk = Vec<Option<u8>>;

    const TELL: Tell<'_> = Tell { pool: 0, origin: 0, used: None };

    /// The chunk's ends, as its worker would send them.
    fn sent(ends: &[Option<u8>]) -> Message {
        let mut writer = Writer::new(0);
        for (n, end) in ends.iter().enumerate() {
            match end {
                Some(value) => {
                    let result = Message { bytes: vec![*value], handles: Vec::new() };
                    writer.end(&TaskEnd::Done, &result);
                }
                None => writer.end(&TaskEnd::Failed(n.to_string()), &Message::default()),
            }
        }
        writer.finish()
    }

    /// A value that cannot be read: its `Deserialize` panics on a zero.
    #[derive(Debug, PartialEq)]
    struct NotZero(u8);

    impl<'de> serde::Deserialize<'de> for NotZero {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let n = u8::deserialize(from)?;
            assert_ne!(n, 0, "there is a zero");
            Ok(NotZero(n))
        }
    }

    #[test]
    fn a_waker_that_panics_takes_no_other_with_it() {
        struct Counts(Option<Arc<AtomicBool>>);
        impl std::task::Wake for Counts {
            fn wake(self: Arc<Self>) {
                let woken = self.0.as_ref().expect("a waker that panics");
                woken.store(true, Ordering::Release);
            }
        }
        let single: Single<u8> = Single::new(None);
        let woken = Arc::new(AtomicBool::new(false));
        for counts in [Counts(None), Counts(Some(woken.clone()))] {
            assert!(single.watch(&Arc::new(counts).into()).is_some());
        }
        let tell = single.complete(0, Ok((&[7], &[])), TELL).unwrap();
        tell();
        assert!(woken.load(Ordering::Acquire));
        assert!(matches!(single.take(), Some(Ok(7))));
    }

    #[test]
    fn a_value_whose_deserialize_panics_fails_its_task_and_no_other() {
        let gather: Gather<NotZero> = Gather::new(4, None);
        gather.expect(4);
        let message = sent(&[Some(1), Some(0), Some(0), Some(4)]);
        let mut ends = Reader::new(&message);
        ends.u64().unwrap();
        assert_eq!(gather.complete_all(0, 4, &mut ends, TELL, &mut Vec::new()), 4);
        gather.seal();
        assert!(
            matches!(gather.take(), Some(Err(Error::Decode { why, .. })) if why.contains("zero"))
        );
        let single: Single<NotZero> = Single::new(None);
        single.complete(0, Ok((&[0], &[])), TELL);
        assert!(matches!(single.take(), Some(Err(Error::Decode { .. }))));
    }

    proptest! {
        /// Chunks come in any order, whole, cut in two by a worker that ended, or task by task.
        #[test]
        fn a_map_has_all_values_in_order_or_its_first_error(
            chunks in prop::collection::vec(
                prop::collection::vec(prop::option::weighted(0.95, any::<u8>()), 1..9), 0..12),
            order in any::<u64>(),
            about in 0usize..20,
            sealed_first: bool,
        ) {
            let gather: Gather<u8> = Gather::new(about, None);
            let mut waiting: Vec<(usize, Chunk)> = Vec::new();
            let mut base = 0;
            for chunk in &chunks {
                gather.expect(chunk.len());
                waiting.push((base, chunk.clone()));
                base += chunk.len();
            }
            if sealed_first {
                gather.seal();
            }
            let mut random = order | 1;
            let mut pick = |n: usize| {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (random >> 33) as usize % n
            };
            while !waiting.is_empty() {
                prop_assert!(!gather.is_ready());
                let (base, chunk) = waiting.swap_remove(pick(waiting.len()));
                let most = 1 + pick(chunk.len());
                if most == 1 {
                    let outcome = match chunk[0] {
                        Some(ref value) => Ok((std::slice::from_ref(value), &[][..])),
                        None => Err(Error::Task("0".into())),
                    };
                    gather.complete(base, outcome, TELL);
                } else {
                    let message = sent(&chunk[..most]);
                    let mut ends = Reader::new(&message);
                    ends.u64().unwrap();
                    let mut deferred = Vec::new();
                    let taken = gather.complete_all(base, chunk.len(), &mut ends, TELL, &mut deferred);
                    prop_assert_eq!((taken, deferred.len()), (most, 0));
                }
                if most < chunk.len() {
                    waiting.push((base + most, chunk[most..].to_vec()));
                }
            }
            if !sealed_first {
                gather.seal();
            }
            prop_assert!(gather.is_ready());
            let all: Vec<Option<u8>> = chunks.into_iter().flatten().collect();
            let whole: Option<Vec<u8>> = all.into_iter().collect();
            prop_assert_eq!(gather.take().map(Result::ok), Some(whole));
        }
    }
}
