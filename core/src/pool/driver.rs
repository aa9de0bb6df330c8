//! The driver of a pool's tasks: it tells the state what happened, and does what the state says.
//!
//! There is no thread that must run for that: whoever waits for a result drives until it is there (a
//! wake of another thread costs more than a task); for tasks that nobody waits for a thread drives
//! (`background`), where there are threads. Who drives when is in `waiters`.

#[cfg(not(target_family = "wasm"))]
use super::background::{Background, Round};
use super::exchange::{Action, Counters, Death, Refusal};
use super::link::{Link, News, TaskChunk};
use super::options::{Call, Options};
use super::sides::Sides;
use super::sink::{Deferred, Sink, Tell};
use super::slot::LEAVING;
use super::state::State;
use super::waiters::Waiters;
use crate::observe::{self, Event};
use crate::raw::{Backend, Entry, Message, Output};
use crate::runner::wire::{Reader, Tasks};
use crate::sync::lock;
use crate::time::{Clock, Deadline};
use crate::{Context, Error, ExitStatus, Printed, Result, Wait};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// The number of the pool that was made last.
static LAST_POOL: AtomicU64 = AtomicU64::new(0);

/// The part of a driver that is under the pool's lock.
struct Shared {
    state: State<Tasks, Arc<dyn Sink>>,
    /// The worker in each slot.
    links: Vec<Option<Link>>,
    /// Callbacks to call once this is unlocked.
    deferred: Vec<Deferred>,
    /// Room for an answer.
    answer: Message,
}

pub(super) struct Driver {
    ctx: Context,
    sides: Sides,
    pub(super) clock: Arc<dyn Clock>,
    entry: Entry,
    options: Options,
    workers: usize,
    /// The pool's number among those of this process.
    number: u64,
    shared: Mutex<Shared>,
    waiters: Waiters,
    #[cfg(not(target_family = "wasm"))]
    background: Background,
}

/// Refuses a limit of time for tasks where nobody could end them.
///
/// # Errors
/// [`Error::Unsupported`].
pub(super) fn refuse_limit_of_time(ctx: &Context, is_asked: bool) -> Result<()> {
    if is_asked && ctx.backend() == Backend::Local {
        return Err(Error::Unsupported("limits of time for a task: a thread cannot be ended"));
    }
    Ok(())
}

/// Unlocks the state, then calls the callbacks that came up: they may use the pool.
fn unlock(mut shared: MutexGuard<'_, Shared>) {
    let deferred = std::mem::take(&mut shared.deferred);
    drop(shared);
    // One that panics takes no other's result with it.
    let panics = deferred.into_iter().filter_map(|then| catch_unwind(AssertUnwindSafe(then)).err());
    if let Some(panic) = panics.fold(None, |first: Option<_>, panic| first.or(Some(panic))) {
        resume_unwind(panic);
    }
}

/// An answer's buffer that is larger than this is given back rather than kept for the next.
const KEPT_ROOM: usize = 1 << 20;

/// The next thing that the worker in a slot has to say.
fn news(shared: &mut Shared, slot: usize) -> News {
    let listen = shared.state.is_trusted(slot);
    let link = shared.links[slot].as_ref();
    link.map_or(News::None, |link| link.news(listen, &mut shared.answer))
}

/// Takes out of a worker's queue what it has not begun.
fn recall(shared: &mut Shared, slot: usize) {
    let most = shared.state.recallable(slot);
    let Some(link) = &shared.links[slot] else { return };
    let ids: Vec<u64> = std::iter::from_fn(|| link.take_back()).take(most).collect();
    shared.state.recalled(slot, &ids);
}

/// Calls of the typed surface.
impl Driver {
    pub(super) fn start(ctx: Context, entry: Entry, options: Options) -> Result<Arc<Driver>> {
        let sides = Sides::new(&ctx, &options)?;
        let workers = sides.slots();
        let plain = matches!(entry, Entry::Main(_));
        let driver = Driver {
            waiters: Waiters::new(&ctx)?,
            clock: ctx.clock(),
            ctx,
            sides,
            entry,
            workers,
            number: LAST_POOL.fetch_add(1, Ordering::Relaxed) + 1,
            shared: Mutex::new(Shared {
                state: State::new(options.rules(plain), workers),
                links: std::iter::repeat_with(|| None).take(workers).collect(),
                deferred: Vec::new(),
                answer: Message::default(),
            }),
            options,
            #[cfg(not(target_family = "wasm"))]
            background: Background::default(),
        };
        driver.start_workers()?;
        Ok(Arc::new(driver))
    }

    /// The first workers: all of them, or the pool is not there and keeps none.
    fn start_workers(&self) -> Result<()> {
        let mut shared = lock(&self.shared);
        while let Some(Action::Start(slot)) = shared.state.next_action() {
            match Link::serving(self.ctx_of(slot), &self.entry, &self.options, None) {
                Ok(link) => shared.links[slot] = Some(link),
                Err(e) => {
                    shared.links.iter().flatten().for_each(Link::kill);
                    shared.links.iter().flatten().try_for_each(|link| link.join(LEAVING))?;
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// The context in which the worker of a slot is started.
    fn ctx_of(&self, slot: usize) -> &Context {
        self.sides.of_slot(slot).unwrap_or(&self.ctx)
    }

    pub(super) fn counters(&self) -> Counters {
        lock(&self.shared).state.counters()
    }

    /// The chunk size where the default is this one.
    pub(super) fn chunk_or(&self, default: usize, call: &Call) -> usize {
        match self.entry {
            Entry::Main(_) => 1,
            _ if call.alone() => 1,
            _ => self.options.chunk_size.unwrap_or(default),
        }
    }

    /// The chunk size for a `map` over at least so many inputs.
    pub(super) fn chunk_for(&self, inputs: usize, call: &Call) -> usize {
        self.chunk_or(self.options.chunk_for(inputs, self.workers), call)
    }

    /// The number of tasks that may be under way before inputs are taken no further, in chunks of which the
    /// last had so many bytes.
    pub(super) fn window(&self, chunk: usize, bytes: usize) -> usize {
        self.workers * (self.options.depth().of(bytes) + 1) * chunk
    }

    /// Takes a chunk of tasks whose ends go to `sink`, from index `base` on. Whether there is room for
    /// more, as [`Driver::wait_for_room`] has it.
    pub(super) fn submit(
        &self,
        tasks: Tasks,
        sink: Arc<dyn Sink>,
        base: usize,
        call: &Call,
    ) -> Result<bool> {
        if !call.is_plain() {
            self.check(call)?;
        }
        let mut shared = lock(&self.shared);
        shared.state.submit(tasks, sink, base, call.asked.clone())?;
        self.perform(&mut shared);
        let has_room = shared.state.backlog() <= self.workers;
        unlock(shared);
        // A sleeping driver does not know of a new process or a new deadline.
        let is_timed = self.options.task_timeout.is_some() || call.alone();
        if is_timed || matches!(self.entry, Entry::Main(_)) {
            self.waiters.notify();
        }
        Ok(has_room)
    }

    /// Refuses what can be known to be impossible.
    #[cold]
    fn check(&self, call: &Call) -> Result<()> {
        if call.worker.is_some() && matches!(self.entry, Entry::Main(_)) {
            let why = "a pool of a program's `main` has no workers: make another pool for them";
            return Err(Error::Invalid(why.into()));
        }
        let timed = call.asked.as_ref().is_some_and(|asked| asked.timeout.is_some());
        refuse_limit_of_time(&self.ctx, timed)?;
        let limits = call.asked.as_ref().is_some_and(|asked| asked.memory.is_some());
        if limits && !self.sides.limit_memory() {
            return Err(Error::Unsupported("limit of the memory of one process"));
        }
        Ok(())
    }

    /// Ends the tasks of the sink at this address that have not ended; whether there were any.
    pub(super) fn cancel(&self, sink: *const ()) -> bool {
        let is = |other: &Arc<dyn Sink>| std::ptr::addr_eq(Arc::as_ptr(other), sink);
        let mut shared = lock(&self.shared);
        for slot in shared.state.slots_of(is) {
            // First its queue, so that it can begin nothing more; then what it has answered, which has
            // ended. What is left of them after that is what it is at.
            recall(&mut shared, slot);
            while shared.state.is_trusted(slot)
                && let News::Answer = news(&mut shared, slot)
            {
                self.take_answer(&mut shared, slot);
            }
        }
        let mut any = shared.state.cancel_waiting(is);
        for slot in shared.state.slots_of(is) {
            any |= shared.state.cancel_begun(slot, is);
        }
        self.perform(&mut shared);
        unlock(shared);
        self.waiters.progressed();
        self.waiters.notify();
        any
    }

    pub(super) fn close(&self) {
        lock(&self.shared).state.close();
    }

    pub(super) fn terminate(&self) {
        let mut shared = lock(&self.shared);
        shared.state.terminate();
        self.perform(&mut shared);
        unlock(shared);
        self.waiters.progressed();
        self.waiters.notify();
    }

    pub(super) fn join(&self) -> Result<()> {
        if !lock(&self.shared).state.is_closed() {
            return Err(Error::PoolOpen);
        }
        self.drive_until(&|| self.is_idle(), Wait::Forever)?;
        let links: Vec<Link> = lock(&self.shared).links.iter_mut().flat_map(Option::take).collect();
        links.iter().for_each(Link::close);
        // They have nothing left to do; all of them together have the time of one.
        let deadline = Wait::AtMost(LEAVING).deadline(&*self.clock);
        links
            .iter()
            .try_for_each(|link| link.join(deadline.remaining(&*self.clock).unwrap_or(LEAVING)))
    }

    /// `true` if no task is pending.
    fn is_idle(&self) -> bool {
        lock(&self.shared).state.pending() == 0
    }

    /// Makes every waiter look again at what it waits for.
    pub(super) fn ring(&self) {
        self.waiters.ring();
    }

    pub(super) fn rings(&self) -> u64 {
        self.waiters.rings()
    }
}

/// Events, and the actions that follow from them.
impl Driver {
    /// Takes all the news there is; whether there was any.
    fn sweep(&self) -> bool {
        let mut shared = lock(&self.shared);
        let mut any = false;
        shared.state.look_again();
        for slot in 0..shared.links.len() {
            let mut answers = 0;
            loop {
                match news(&mut shared, slot) {
                    News::None => break,
                    News::Answer => {
                        answers += 1;
                        self.answer(&mut shared, slot);
                    }
                    News::Closed => shared.state.lied(slot),
                    News::Ended(status) => {
                        self.ended(&mut shared, slot, status);
                        any = true;
                        break;
                    }
                }
                any = true;
            }
            shared.state.swept(slot, answers);
        }
        if shared.state.keeps_time() {
            shared.state.tick(self.clock.now());
        }
        self.perform(&mut shared);
        while let Some(steal) = shared.state.next_steal() {
            self.act(&mut shared, steal);
            self.perform(&mut shared);
        }
        // What was begun just now has its time, which nobody may sleep through.
        while shared.state.awaits_clock() {
            shared.state.tick(self.clock.now());
            self.perform(&mut shared);
        }
        unlock(shared);
        any
    }

    /// A worker's report on one chunk.
    fn answer(&self, shared: &mut Shared, slot: usize) {
        self.take_answer(shared, slot);
        if shared.state.is_hungry(slot) {
            self.perform(shared);
        }
    }

    fn take_answer(&self, shared: &mut Shared, slot: usize) {
        let mut message = std::mem::take(&mut shared.answer);
        let id = Reader::new(&message).u64().ok();
        let Some(chunk) = shared.state.answered(slot, id) else { return };
        if !self.options.measured {
            self.settle(shared, slot, chunk, &message);
            // Its handles are the results' now; its room is kept for the next, unless that is large.
            message.handles.clear();
            message.bytes.clear();
            message.bytes.shrink_to(KEPT_ROOM);
            shared.answer = message;
        } else if let Some(link) = &mut shared.links[slot]
            && let Some((chunk, message)) = link.hold((chunk, message))
        {
            self.settle_measured(shared, slot, chunk, &message);
        }
    }

    /// A worker's report on one chunk is told to those who wait for it.
    fn settle(&self, shared: &mut Shared, slot: usize, chunk: TaskChunk, message: &Message) {
        let mut ends = Reader::new(message);
        // The number has been looked at.
        let _ = ends.u64();
        let most = chunk.work.len();
        let tell = Tell::new(self.number, chunk.first, chunk.base, chunk.used.as_deref());
        let deferred = &mut shared.deferred;
        let ended = chunk.sink.complete_all(chunk.base, most, &mut ends, tell, deferred);
        shared.state.settled(slot, chunk, ended);
    }

    /// The same, with what its task has used.
    fn settle_measured(
        &self,
        shared: &mut Shared,
        slot: usize,
        mut chunk: TaskChunk,
        message: &Message,
    ) {
        let mut ends = Reader::new(message);
        let _ = ends.u64();
        let received = ends.next_end().and_then(Result::ok).map_or(0, |(bytes, _)| bytes.len());
        if let Some(link) = &mut shared.links[slot] {
            link.measure(&mut chunk, self.clock.now(), received);
        }
        self.settle(shared, slot, chunk, message);
    }

    /// The process of a slot has ended.
    fn ended(&self, shared: &mut Shared, slot: usize, status: ExitStatus) {
        if let Some((chunk, message)) = shared.links[slot].as_mut().and_then(Link::held) {
            self.settle_measured(shared, slot, chunk, &message);
        }
        let Some(mut link) = shared.links[slot].take() else { return };
        let status = shared.state.verdict(slot, status);
        let is_program = matches!(self.entry, Entry::Main(_));
        let delivers = is_program && status.success();
        let failed = (is_program && !delivers).then(|| Arc::new(link.all_printed()));
        if is_program && observe::is_observed() {
            self.tell_of_output(shared, slot, &link, failed.as_deref());
        }
        // Another worker may have been handed its queue, and put into it for ever: not any more.
        link.close();
        let unbegun: Vec<u64> = std::iter::from_fn(|| link.take_back()).collect();
        let printed = delivers.then(|| link.printed());
        if self.options.measured
            && let Some(chunk) = shared.state.oldest_mut(slot)
            && !unbegun.contains(&chunk.id)
        {
            let received = printed.iter().flatten().map(|message| message.bytes.len()).sum();
            link.measure(chunk, self.clock.now(), received);
        }
        let printed = shared.state.oldest(slot).zip(printed).map(|(chunk, printed)| {
            let outcome = printed.as_ref().map(|m| (&m.bytes[..], &m.handles[..]));
            let tell = Tell::new(self.number, chunk.first, chunk.base, chunk.used.as_deref());
            chunk.sink.complete(chunk.base, outcome.map_err(Clone::clone), tell)
        });
        let delivered = printed.is_some();
        shared.deferred.extend(printed.flatten());
        let death = Death { worker: link.name(), status, unbegun, delivered, printed: failed };
        let replaced = shared.state.counters().replaced;
        shared.state.ended(slot, &death);
        if shared.state.counters().replaced > replaced {
            let (pool, worker) = (self.number, &death.worker[..]);
            observe::emit(|| Event::WorkerReplaced { pool, worker, status });
        }
    }

    /// Tells those who watch what a program has printed that is no result.
    fn tell_of_output(&self, shared: &Shared, slot: usize, link: &Link, failed: Option<&Printed>) {
        let Some(task) = shared.state.oldest(slot).map(|chunk| chunk.first) else { return };
        let pool = self.number;
        if self.options.stderr == Output::Capture {
            let own = failed.is_none().then(|| link.error_output());
            let stderr = own.as_ref().or(failed.map(|f| &f.stderr)).map_or(&[][..], |all| all);
            if !stderr.is_empty() {
                observe::emit(|| Event::CommandComplained { pool, task, stderr });
            }
        }
        let stdout = failed.map_or(&[][..], |failed| &failed.stdout);
        if !stdout.is_empty() {
            observe::emit(|| Event::CommandFailed { pool, task, stdout });
        }
    }

    /// Does what there is to do.
    fn perform(&self, shared: &mut Shared) {
        while let Some(action) = shared.state.next_action() {
            self.act(shared, action);
        }
    }

    fn act(&self, shared: &mut Shared, action: Action<Arc<dyn Sink>>) {
        match action {
            Action::Start(slot) => {
                let started = Link::serving(self.ctx_of(slot), &self.entry, &self.options, None);
                let outcome = started.map(|link| shared.links[slot] = Some(link));
                shared.state.started(slot, outcome);
            }
            Action::Give { slot, chunk } => self.give(shared, slot, chunk),
            Action::TakeBack(slot) => {
                let id = shared.links[slot].as_ref().and_then(Link::take_back);
                shared.state.taken_back(slot, id);
            }
            Action::Recall(slot) => recall(shared, slot),
            Action::Retire(slot) => shared.links[slot].iter().for_each(Link::close),
            Action::Kill(slot) => shared.links[slot].iter().for_each(Link::kill),
            Action::Fail { sink, base, first, count, error, used } => {
                let tell = Tell::new(self.number, first, base, used.as_deref());
                for index in base..base + count {
                    shared.deferred.extend(sink.complete(index, Err(error.clone()), tell));
                }
            }
            Action::Retry { first: task, count, attempts } => {
                observe::emit(|| Event::TaskRetried { pool: self.number, task, count, attempts });
            }
        }
    }

    /// Sends a chunk to the worker in this slot, or starts a process with it.
    fn give(&self, shared: &mut Shared, slot: usize, id: u64) {
        let Shared { state, links, .. } = shared;
        let Some(chunk) = state.given(slot, id) else { return };
        let (task, count) = (chunk.first, chunk.work.len());
        let now = self.options.measured.then(|| self.clock.now());
        // Before it has the task, or some of its work would be missed.
        if let (Some(now), Some(link)) = (now, &mut links[slot]) {
            link.begins(now);
        }
        if let Err(why) = self.send(self.ctx_of(slot), &mut links[slot], chunk, now) {
            return state.refused(slot, id, why);
        }
        // The name is worth its copy only to somebody who watches.
        if observe::is_observed() {
            let worker = &links[slot].as_ref().map(Link::name).unwrap_or_default();
            observe::emit(|| Event::TaskGiven { pool: self.number, task, count, worker });
        }
    }

    fn send(
        &self,
        ctx: &Context,
        link: &mut Option<Link>,
        chunk: &mut TaskChunk,
        now: Option<Instant>,
    ) -> Result<(), Refusal> {
        if let (None, Entry::Serve(_)) = (&link, &self.entry) {
            let own = chunk.asked.as_deref();
            let started = Link::serving(ctx, &self.entry, &self.options, own);
            let mut started = started.map_err(Refusal::NotStarted)?;
            now.into_iter().for_each(|now| started.begins(now));
            *link = Some(started);
        }
        if let Some(link) = link {
            return link.send(chunk).map_err(|e| match e {
                Error::Full => Refusal::NoRoom,
                Error::Closed => Refusal::Closed,
                e => Refusal::Unfit(e),
            });
        }
        match Link::plain(ctx, &self.entry, &self.options, chunk) {
            Ok(mut started) => {
                now.into_iter().for_each(|now| started.begins(now));
                *link = Some(started);
                Ok(())
            }
            Err(e @ (Error::Decode { .. } | Error::ForeignHandle | Error::Invalid(_))) => {
                Err(Refusal::Unfit(e))
            }
            Err(e) => Err(Refusal::NotStarted(e)),
        }
    }
}

/// The choice of the thread that drives.
impl Driver {
    /// Drives until the backlog is short, so that a `map` over many inputs needs little memory.
    pub(super) fn wait_for_room(&self) -> Result<()> {
        let has_room = || lock(&self.shared).state.backlog() <= self.workers;
        self.drive_until(&has_room, Wait::Forever)
    }

    /// Drives the pool, or waits for whoever does, until `done`.
    pub(super) fn drive_until(&self, done: &dyn Fn() -> bool, wait: Wait) -> Result<()> {
        if done() {
            return Ok(());
        }
        let deadline = wait.deadline(&*self.clock);
        loop {
            let seen = self.waiters.seen();
            if let Some(turn) = self.waiters.try_drive() {
                let driven = self.drive(done, deadline, false);
                drop(turn);
                return driven;
            }
            if done() {
                return Ok(());
            }
            if self.waiters.is_driver() {
                let why = "a callback cannot wait for another task of its pool";
                return Err(Error::Invalid(why.into()));
            }
            self.waiters.wait(&self.ctx, seen, deadline)?;
            if done() {
                return Ok(());
            }
        }
    }

    /// Drives until `done`, or, if it gives way, until somebody waits.
    fn drive(&self, done: &dyn Fn() -> bool, deadline: Deadline, gives_way: bool) -> Result<()> {
        loop {
            let progress = self.sweep();
            if done() {
                return Ok(());
            }
            if progress {
                self.waiters.progressed();
            }
            let to_give_way = || gives_way && self.waiters.any();
            if deadline.is_past(&*self.clock) || to_give_way() {
                return Err(Error::TimedOut);
            }
            if !progress {
                self.sleep(deadline, &|| done() || to_give_way())?;
            }
        }
    }

    /// Sleeps until a worker has news or something is due, or not at all if it need not.
    fn sleep(&self, deadline: Deadline, need_not: &dyn Fn() -> bool) -> Result<()> {
        let mut those = self.waiters.waitables();
        let due = {
            let shared = lock(&self.shared);
            for (slot, link) in shared.links.iter().enumerate() {
                let listen = shared.state.is_trusted(slot);
                link.iter().for_each(|link| link.waitables(listen, &mut those));
            }
            self.waiters.falls_asleep();
            shared.state.due()
        };
        let deadline = deadline.min(due.into());
        self.waiters.sleep(&self.ctx, &those, deadline.wait(&*self.clock), need_not)
    }

    /// Sees to it that tasks move although nobody waits for them yet.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn drive_in_background(self: &Arc<Driver>) {
        // Where time is virtual there is one thread: the pool moves while somebody waits.
        if self.clock.is_virtual() {
            return;
        }
        let (weak, also_weak) = (Arc::downgrade(self), Arc::downgrade(self));
        let round = move || weak.upgrade().map_or(Round::Over, |driver| driver.round());
        let is_idle = move || also_weak.upgrade().is_none_or(|driver| driver.is_idle());
        self.background.start(round, is_idle);
    }

    /// Sees to it that tasks move now, for those who do not wait in a thread; `false` if no thread can
    /// do that.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn drive_for_others(self: &Arc<Driver>) -> bool {
        self.drive_in_background();
        self.background.hurry()
    }

    /// There is no other thread.
    #[cfg(target_family = "wasm")]
    pub(super) fn drive_for_others(self: &Arc<Driver>) -> bool {
        false
    }

    /// One round of the background thread.
    #[cfg(not(target_family = "wasm"))]
    fn round(&self) -> Round {
        let is_idle = || self.is_idle();
        if is_idle() {
            return Round::Idle;
        }
        let driven = catch_unwind(AssertUnwindSafe(|| match self.waiters.try_drive() {
            Some(_turn) => self.drive(&is_idle, Wait::Forever.deadline(&*self.clock), true),
            None => Err(Error::TimedOut),
        }));
        // Interrupted, or another drives: somebody else sees to it. A callback that panicked has said
        // so, and the other tasks go on.
        if matches!(driven, Ok(Err(_))) { Round::GaveWay } else { Round::Done }
    }

    /// A sandboxed process has one thread: its pool moves while it waits for results.
    #[cfg(target_family = "wasm")]
    pub(super) fn drive_in_background(self: &Arc<Driver>) {}

    /// Ends the background thread, if there is one, so that nothing of the pool is left with it.
    pub(super) fn end_background(&self) {
        #[cfg(not(target_family = "wasm"))]
        self.background.end();
    }
}
