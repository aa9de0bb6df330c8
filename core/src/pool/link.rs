//! A pool's side of one worker: its process, and the queues to and from it.

use super::options::{Asked, Options};
use super::sink::Sink;
use super::slot::{Chunk, Work};
use crate::raw::{Backend, Bounds, Entry, Input, Message, Output, Waitable};
use crate::runner::Terms;
use crate::runner::wire::{INITIALIZER, Reader, Tasks, Writer};
use crate::{
    Bytes, Context, Error, ExitStatus, Printed, Process, ProcessBuilder, Queue, Result, TaskUsage,
    Wait, codec,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Work for Tasks {
    fn len(&self) -> usize {
        Tasks::len(self)
    }

    fn bytes(&self) -> usize {
        Tasks::bytes(self)
    }

    fn drop_first(&mut self, n: usize) {
        Tasks::drop_first(self, n);
    }

    fn split(&self) -> Vec<Tasks> {
        Tasks::split(self)
    }
}

/// A pool's chunk: encoded tasks, and the sink of their ends.
pub(super) type TaskChunk = Chunk<Tasks, Arc<dyn Sink>>;

/// A worker that was started.
pub(super) struct Link {
    process: Process,
    /// To it and from it, where it serves the pool; a plain program has none.
    queues: Option<(Queue<()>, Queue<()>)>,
    /// `true` if the process does one task and no other.
    of_one: bool,
    /// When it was given the task that is measured, and its CPU time then.
    since: Option<(Instant, Option<Duration>)>,
    /// A chunk that it has answered, and the answer: it waits for the process's end, which tells what
    /// was used.
    held: Option<(TaskChunk, Message)>,
    /// The backend on which it runs.
    side: Backend,
}

/// News of a worker.
pub(super) enum News {
    None,
    /// An answer has been taken out of the queue of its results.
    Answer,
    /// It has closed the queue of its results.
    Closed,
    Ended(ExitStatus),
}

/// What the options say of each process, and a task of its own one.
fn limited<P>(
    process: ProcessBuilder<P>,
    options: &Options,
    own: Option<&Asked>,
) -> ProcessBuilder<P> {
    let process = process.memory(own.and_then(|own| own.memory));
    match options.cpu_time {
        Some(limit) => process.cpu_time(limit),
        None => process,
    }
}

impl Link {
    /// Starts a process that serves the pool, or one for a chunk that asks for it.
    pub(super) fn serving(
        ctx: &Context,
        entry: &Entry,
        options: &Options,
        own: Option<&Asked>,
    ) -> Result<Link> {
        let initializer = options.initializer.as_ref().map(|(name, arguments)| {
            let mut writer = Writer::new(INITIALIZER);
            writer.part(name.as_bytes(), &[]);
            writer.part(&arguments.bytes, &arguments.handles);
            writer.finish()
        });
        // It has room of its own: it is not answered, so if it were in the way of a chunk, nobody would
        // say when it is not any more.
        let (more, bytes) = initializer.as_ref().map_or((0, 0), |it| (1, it.bytes.len()));
        let of_one = options.fresh || own.is_some();
        let (depth, most) =
            if of_one { (1, 1) } else { (options.depth().small, options.max_tasks) };
        let messages = Some(depth + more);
        let tasks: Queue<()> =
            ctx.queue_with(Bounds { messages, bytes: Bounds::MAX_BYTES + bytes })?;
        let results: Queue<()> = ctx.unbounded_queue()?;
        if let Some(message) = initializer {
            tasks.raw().put(&message.bytes, &message.handles, Wait::Never)?;
        }
        let process = ctx
            .of_entry::<Terms>(entry.clone())
            .args((most, &tasks, &results))
            .stdout(options.stdout)
            .own_names(of_one)
            .daemon(true);
        let process = limited(process, options, own).start()?;
        let (queues, side) = (Some((tasks, results)), ctx.backend());
        Ok(Link { process, queues, of_one, since: None, held: None, side })
    }

    /// Starts a plain program with the one task of a chunk: on its standard input, and in its
    /// arguments where these are the task's.
    pub(super) fn plain(
        ctx: &Context,
        entry: &Entry,
        options: &Options,
        chunk: &TaskChunk,
    ) -> Result<Link> {
        let mut tasks = chunk.work.each();
        let (Some((bytes, handles)), None) = (tasks.next(), tasks.next()) else {
            return Err(Error::Invalid("a plain program takes one task at a time".into()));
        };
        let (entry, Bytes(input)) = if options.commands {
            let ((args, input),): ((Vec<Bytes>, Bytes),) = codec::decode(bytes, handles)?;
            (Entry::Main(args), input)
        } else {
            let (input,): (Bytes,) = codec::decode(bytes, handles)?;
            (entry.clone(), input)
        };
        let process = ctx
            .of_entry::<()>(entry)
            .stdin(Input::Bytes(input))
            .stdout(Output::Capture)
            .stderr(options.stderr)
            .own_names(true)
            .daemon(true);
        let process = limited(process, options, chunk.asked.as_deref()).start()?;
        let side = ctx.backend();
        Ok(Link { process, queues: None, of_one: true, since: None, held: None, side })
    }

    pub(super) fn name(&self) -> String {
        self.process.name()
    }

    /// Sends a chunk.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::Closed`] if there is no room now, others if it cannot be sent.
    pub(super) fn send(&self, chunk: &mut TaskChunk) -> Result<()> {
        let Some((tasks, _)) = &self.queues else { return Err(Error::Full) };
        let (bytes, handles) = chunk.work.message(chunk.id);
        tasks.raw().put(bytes, handles, Wait::Never)
    }

    /// The next thing that it has to say, an answer into `answer`; nothing but its end if it is not
    /// listened to.
    pub(super) fn news(&self, listen: bool, answer: &mut Message) -> News {
        let results = self.queues.as_ref().filter(|_| listen).map(|(_, results)| results.raw());
        let mut get = || results.map(|results| results.get(answer, Wait::Never));
        let got = get();
        if let Some(Ok(())) = got {
            return News::Answer;
        }
        // To ask for the status may be a system call: only if there is nothing else.
        let Some(status) = self.process.status() else {
            // The pool never does that.
            let is_closed = matches!(got, Some(Err(Error::Closed)));
            return if is_closed { News::Closed } else { News::None };
        };
        // What an ended process has put is there to see once its status is.
        if let Some(Ok(())) = get() { News::Answer } else { News::Ended(status) }
    }

    /// Takes the oldest chunk out of its queue that it has not begun, and says which.
    pub(super) fn take_back(&self) -> Option<u64> {
        let (tasks, _) = self.queues.as_ref()?;
        let mut message = Message::default();
        let mut next = || {
            tasks.raw().get(&mut message, Wait::Never).ok()?;
            Reader::new(&message).u64().ok()
        };
        // The initialiser's comes once, before all chunks: a second one is of the worker's making.
        next().and_then(|id| if id == INITIALIZER { next() } else { Some(id) })
    }

    /// It is given a task that is measured.
    pub(super) fn begins(&mut self, now: Instant) {
        let before = if self.of_one { None } else { self.process.cpu_time_now() };
        self.since = Some((now, before));
    }

    /// Keeps the answer of a process that does one task until it has ended. The two are given back
    /// where that is not so.
    pub(super) fn hold(&mut self, answered: (TaskChunk, Message)) -> Option<(TaskChunk, Message)> {
        if !self.of_one {
            return Some(answered);
        }
        self.held.replace(answered)
    }

    /// What was kept.
    pub(super) fn held(&mut self) -> Option<(TaskChunk, Message)> {
        self.held.take()
    }

    /// Adds to a chunk's usage what its one task has used since it was given to this worker, which has
    /// answered it with so many bytes or has ended.
    pub(super) fn measure(&mut self, chunk: &mut TaskChunk, now: Instant, received: usize) {
        let Some((since, before)) = self.since.take() else { return };
        let mut used = TaskUsage {
            attempts: 1,
            wall_time: now.saturating_duration_since(since),
            sent: chunk.work.each().map(|(bytes, _)| bytes.len() as u64).sum(),
            received: received as u64,
            ran_on: Some(self.side),
            ..TaskUsage::default()
        };
        if self.of_one {
            // Where it is not known it is unsupported.
            let usage = self.process.usage().unwrap_or_default();
            used.cpu_time = usage.cpu_time;
            (used.fuel, used.peak_memory) = (usage.fuel, usage.peak_memory);
        } else if let Some(before) = before {
            let after = self.process.cpu_time_now();
            let after = after.or_else(|| self.process.usage().ok()?.cpu_time);
            used.cpu_time = after.map(|after| after.saturating_sub(before));
        }
        chunk.used.get_or_insert_default().add(&used);
    }

    /// All that a plain program has printed, as far as it is captured.
    pub(super) fn all_printed(&self) -> Printed {
        let stdout = self.process.output().unwrap_or_default();
        Printed { stdout, stderr: self.error_output() }
    }

    /// What a plain program has printed on its standard error, if that is captured.
    pub(super) fn error_output(&self) -> Vec<u8> {
        self.process.error_output().unwrap_or_default()
    }

    /// The output of a plain program, as the result of its task.
    pub(super) fn printed(&self) -> Result<Message> {
        self.process.output().and_then(|output| Message::of(&Bytes(output)))
    }

    pub(super) fn kill(&self) {
        // It was started, or it would not be here.
        let _ = self.process.abandon();
    }

    /// No more chunks: it ends when it has done what it has, and nobody puts anything any more.
    pub(super) fn close(&self) {
        if let Some((tasks, _)) = &self.queues {
            tasks.close();
        }
    }

    /// Waits for its end, and sees to it if that does not come by itself.
    pub(super) fn join(&self, patience: Duration) -> Result<()> {
        match self.process.join_timeout(patience) {
            Err(Error::TimedOut) if self.process.abandon() => self.process.join().map(drop),
            // It is left to itself, where nothing can be ended from outside.
            Err(Error::TimedOut) => Ok(()),
            ended => ended.map(drop),
        }
    }

    /// Adds to `those` what there is to wait for: nothing but its end if it is not listened to.
    pub(super) fn waitables(&self, listen: bool, those: &mut Vec<Waitable>) {
        if listen && let Some((_, results)) = &self.queues {
            those.push(results.waitable());
        }
        those.extend(self.process.sentinel());
    }
}
