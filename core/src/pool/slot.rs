//! One worker as the pool sees it: a process, the queues to and from it, and what it has to do.

use super::engine::Options;
use super::result::{Deferred, Sink};
use crate::raw::{Bounds, Entry, Input, Message, Output, Waitable};
use crate::runner::wire::{INITIALIZER, Reader, Tasks, Writer};
use crate::time::Clock;
use crate::{Bytes, Context, Error, ExitStatus, Limit, Process, Queue, Result, Wait, codec};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Tasks that travel together, and where their ends go.
pub(super) struct Chunk {
    pub(super) id: u64,
    pub(super) tasks: Tasks,
    pub(super) sink: Arc<dyn Sink>,
    /// The sink's index of the first task.
    pub(super) base: usize,
    /// How often a worker died of it.
    pub(super) attempts: u32,
}

impl Chunk {
    /// Ends all of its tasks with one error.
    pub(super) fn fail(&self, error: &Error, deferred: &mut Vec<Deferred>) {
        for index in 0..self.tasks.len() {
            deferred.extend(self.sink.complete(self.base + index, Err(error.clone())));
        }
    }

    /// The same tasks, each a chunk of its own; they have no numbers yet.
    pub(super) fn split(&self) -> impl Iterator<Item = Chunk> {
        self.tasks.each().enumerate().map(|(i, (bytes, handles))| Chunk {
            id: 0,
            tasks: Tasks::one(bytes, handles),
            sink: self.sink.clone(),
            base: self.base + i,
            attempts: self.attempts,
        })
    }
}

/// A process that is there to take tasks.
struct Life {
    process: Process,
    /// `None` for a program that knows nothing of procbox: its process is the task.
    queues: Option<(Queue<()>, Queue<()>)>,
}

/// A worker's place in the pool; its process changes.
#[derive(Default)]
pub(super) struct Slot {
    life: Option<Life>,
    /// What the process was given and has not answered, oldest first.
    pub(super) outstanding: VecDeque<Chunk>,
    /// Chunks given to this process.
    given: u64,
    /// Chunks that this process answered.
    pub(super) answered: u64,
    /// When the oldest outstanding task will have taken too long.
    pub(super) deadline: Option<Instant>,
    timed_out: bool,
    /// Not to be started before this.
    pub(super) start_after: Option<Instant>,
}

/// What a slot has to say when asked.
pub(super) enum News {
    /// Nothing yet.
    None,
    /// These bytes from its results queue.
    Answer(Message),
    /// Its process has ended; there is nothing more to come.
    Ended(ExitStatus),
}

/// How a chunk was received.
pub(super) enum Given {
    Yes,
    /// There is no room now.
    NoRoom(Chunk),
    /// It can never be given.
    Unfit(Chunk, Error),
    /// The process for it could not be started.
    NotStarted(Chunk, Error),
}

impl Slot {
    pub(super) fn is_up(&self) -> bool {
        self.life.is_some()
    }

    /// Starts the process that serves this slot.
    pub(super) fn start(&mut self, ctx: &Context, entry: &Entry, options: &Options) -> Result<()> {
        let Entry::Serve(_) = entry else {
            return Ok(());
        };
        let initializer = options.initializer.as_ref().map(|(name, arguments)| {
            let mut writer = Writer::new(INITIALIZER);
            writer.part(name.as_bytes(), &[]);
            writer.part(&arguments.bytes, &arguments.handles);
            writer.finish()
        });
        // It has room of its own: it is not answered, so if it were in the way of a chunk, nobody would
        // say when it is not any more.
        let (more, bytes) = initializer.as_ref().map_or((0, 0), |it| (1, it.bytes.len()));
        let messages = Some(options.depth() + more);
        let tasks: Queue<()> =
            ctx.queue_with(Bounds { messages, bytes: Bounds::MAX_BYTES + bytes })?;
        let results: Queue<()> = ctx.unbounded_queue()?;
        if let Some(message) = initializer {
            tasks.raw().put(&message.bytes, &message.handles, Wait::Never)?;
        }
        let process = ctx
            .of_entry::<crate::runner::Terms>(entry.clone())
            .args((options.max_tasks, &tasks, &results))
            .stdout(options.stdout)
            .daemon(true)
            .start()?;
        self.life = Some(Life { process, queues: Some((tasks, results)) });
        Ok(())
    }

    /// How much more it can be given: the lower, the sooner it gets to a new task.
    pub(super) fn load(&self, entry: &Entry, options: &Options) -> Option<usize> {
        let load = self.outstanding.len();
        let open = match entry {
            Entry::Main(_) => load == 0 && self.start_after.is_none(),
            _ => self.life.is_some() && load < options.depth() && self.given < options.max_tasks,
        };
        open.then_some(load)
    }

    /// Gives it a chunk.
    pub(super) fn give(
        &mut self,
        mut chunk: Chunk,
        ctx: &Context,
        entry: &Entry,
        options: &Options,
        clock: &dyn Clock,
    ) -> Given {
        let sent = match (&self.life, entry) {
            (Some(Life { queues: Some((tasks, _)), .. }), _) => {
                let message = chunk.tasks.message(chunk.id);
                tasks.raw().put(&message.bytes, &message.handles, Wait::Never)
            }
            (None, Entry::Main(_)) => match start_main(&chunk, ctx, entry) {
                Ok(process) => {
                    self.life = Some(Life { process, queues: None });
                    Ok(())
                }
                Err(e @ (Error::Decode { .. } | Error::ForeignHandle)) => Err(e),
                Err(e) => return Given::NotStarted(chunk, e),
            },
            _ => Err(Error::Full),
        };
        match sent {
            Ok(()) => {
                self.given += 1;
                if self.outstanding.is_empty() {
                    self.begin_clock(options, clock);
                }
                self.outstanding.push_back(chunk);
                Given::Yes
            }
            Err(Error::Full | Error::Closed) => Given::NoRoom(chunk),
            Err(e) => Given::Unfit(chunk, e),
        }
    }

    fn begin_clock(&mut self, options: &Options, clock: &dyn Clock) {
        self.deadline = options.task_timeout.and_then(|t| clock.now().checked_add(t));
    }

    /// What it has to say now.
    pub(super) fn news(&self) -> News {
        let Some(life) = &self.life else {
            return News::None;
        };
        // The status is read before the queue: what an ended process has put is then there to see.
        let status = life.process.status();
        if let Some((_, results)) = &life.queues {
            let mut message = Message::default();
            if results.raw().get(&mut message, Wait::Never).is_ok() {
                return News::Answer(message);
            }
        }
        status.map_or(News::None, News::Ended)
    }

    /// Takes the chunk with this number off the list, since it was answered.
    pub(super) fn answered(
        &mut self,
        id: u64,
        options: &Options,
        clock: &dyn Clock,
    ) -> Option<Chunk> {
        let at = self.outstanding.iter().position(|chunk| chunk.id == id)?;
        let chunk = self.outstanding.remove(at);
        self.answered += 1;
        self.deadline = None;
        if !self.outstanding.is_empty() {
            self.begin_clock(options, clock);
        }
        chunk
    }

    /// Whether [`Slot::take_back`] may be used while the process lives: not before it has taken its
    /// initializer, which is in the same queue.
    pub(super) fn may_take_back(&self, options: &Options) -> bool {
        self.outstanding.len() > 1 && (self.answered > 0 || options.initializer.is_none())
    }

    /// Takes back the oldest chunk that the process has not begun.
    pub(super) fn take_back(&mut self) -> Option<Chunk> {
        let Some(Life { queues: Some((tasks, _)), .. }) = &self.life else { return None };
        let mut message = Message::default();
        loop {
            tasks.raw().get(&mut message, Wait::Never).ok()?;
            let id = Reader::new(&message).u64().ok()?;
            if id == INITIALIZER {
                continue;
            }
            let at = self.outstanding.iter().position(|chunk| chunk.id == id)?;
            self.given -= 1;
            return self.outstanding.remove(at);
        }
    }

    /// What the ended process printed, if its process was the task.
    pub(super) fn printed(&self) -> Option<Result<Message>> {
        match &self.life {
            Some(Life { process, queues: None }) => {
                Some(process.output().and_then(|output| Message::of(&Bytes(output))))
            }
            _ => None,
        }
    }

    /// Clears the slot of its ended process. Says its name and status.
    pub(super) fn bury(&mut self, status: ExitStatus) -> (String, ExitStatus) {
        let name = self.life.take().map(|life| life.process.name()).unwrap_or_default();
        let status = if self.timed_out { ExitStatus::limited(Limit::WallClock) } else { status };
        *self = Slot { outstanding: std::mem::take(&mut self.outstanding), ..Slot::default() };
        (name, status)
    }

    /// Ends a process whose task takes too long.
    pub(super) fn check_clock(&mut self, clock: &dyn Clock) {
        if self.deadline.is_some_and(|at| at <= clock.now()) {
            self.deadline = None;
            self.timed_out = true;
            self.kill();
        }
    }

    pub(super) fn kill(&self) {
        if let Some(life) = &self.life {
            // It was started, or it would not be here.
            let _ = life.process.kill();
        }
    }

    /// Tells it that there are no more tasks.
    pub(super) fn close(&self) {
        if let Some(Life { queues: Some((tasks, _)), .. }) = &self.life {
            tasks.close();
        }
    }

    pub(super) fn join(&mut self) -> Result<()> {
        if let Some(life) = &self.life {
            life.process.join()?;
        }
        self.life = None;
        Ok(())
    }

    /// Adds what there is to wait for.
    pub(super) fn waitables(&self, those: &mut Vec<Waitable>) {
        if let Some(life) = &self.life {
            if let Some((_, results)) = &life.queues {
                those.push(results.waitable());
            }
            those.extend(life.process.sentinel());
        }
    }
}

/// Starts a plain program on one task: its bytes on stdin, its stdout kept.
fn start_main(chunk: &Chunk, ctx: &Context, entry: &Entry) -> Result<Process> {
    let mut tasks = chunk.tasks.each();
    let (Some((bytes, handles)), None) = (tasks.next(), tasks.next()) else {
        return Err(Error::Invalid("a plain program takes one task at a time".into()));
    };
    let (Bytes(input),): (Bytes,) = codec::decode(bytes, handles)?;
    ctx.of_entry::<()>(entry.clone())
        .stdin(Input::Bytes(input))
        .stdout(Output::Capture)
        .daemon(true)
        .start()
}
