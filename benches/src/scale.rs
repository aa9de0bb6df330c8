//! What an operation costs as there is more of everything: processes that are alive, that wait at a queue, that
//! put into it, that want one lock; tasks of a map. The first contender of a group has the least.

use crate::ours::{pool_map, spawn};
use crate::{Case, QUEUED, SMALL};
use procbox_core::{Bytes, Context, Process, Queue};
use std::time::Duration;

type Run = Box<dyn FnMut(u64) -> anyhow::Result<Duration>>;

/// Groups on one backend.
struct Groups {
    spawn: &'static str,
    waiters: &'static str,
    producers: &'static str,
    lock: &'static str,
    map: &'static str,
    /// How many processes are alive beside the one that is started, at most: a native one takes more.
    alive: [(&'static str, usize); 3],
}

const NATIVE: Groups = Groups {
    spawn: "scale/spawn/native",
    waiters: "scale/waiters/native",
    producers: "scale/producers/native",
    lock: "scale/lock/native",
    map: "scale/map/native",
    alive: [("1 alive", 1), ("100 alive", 100), ("1,000 alive", 1000)],
};
const SANDBOX: Groups = Groups {
    spawn: "scale/spawn/sandbox",
    waiters: "scale/waiters/sandbox",
    producers: "scale/producers/sandbox",
    lock: "scale/lock/sandbox",
    map: "scale/map/sandbox",
    alive: [("1 alive", 1), ("1,000 alive", 1000), ("10,000 alive", 10_000)],
};
const WAITERS: [(&str, usize); 3] = [("2 wait", 2), ("64 wait", 64), ("1,000 wait", 1000)];
const PRODUCERS: [(&str, usize); 3] = [("1 puts", 1), ("8 put", 8), ("64 put", 64)];
const HOLDERS: [(&str, usize); 3] = [("1 wants it", 1), ("8 want it", 8), ("64 want it", 64)];
const TASKS: [(&str, u64); 3] =
    [("1,000 tasks", 1000), ("100,000 tasks", 100_000), ("10,000,000 tasks", 10_000_000)];

/// The cases of both backends; `sandbox` has room for all of these processes.
pub(super) fn cases(native: &Context, sandbox: &Context) -> Vec<Case> {
    let mut cases = Vec::new();
    for (groups, ctx) in [(&NATIVE, native), (&SANDBOX, sandbox)] {
        let mut add = |group, contender, ops, run: Run| {
            cases.push(Case { group, contender, ops, run });
        };
        for (contender, alive) in groups.alive {
            add(groups.spawn, contender, None, beside(ctx, alive, spawn));
        }
        for (contender, waiting) in WAITERS {
            add(groups.waiters, contender, None, asked(ctx, waiting));
        }
        for (contender, producers) in PRODUCERS {
            let ctx = ctx.clone();
            let run = move |n| produced(&ctx, producers, n);
            add(groups.producers, contender, None, Box::new(run));
        }
        for (contender, holders) in HOLDERS {
            let ctx = ctx.clone();
            add(groups.lock, contender, None, Box::new(move |n| locked(&ctx, holders, n)));
        }
        for (contender, tasks) in TASKS {
            let ctx = ctx.clone();
            add(groups.map, contender, Some(tasks), Box::new(move |n| pool_map(&ctx, n)));
        }
    }
    cases
}

/// Processes that wait at a queue until there is no more of them.
struct Waiting {
    questions: Queue<Bytes>,
    answers: Queue<Bytes>,
    processes: Vec<Process>,
}

impl Waiting {
    fn start(ctx: &Context, size: usize) -> anyhow::Result<Waiting> {
        let (questions, answers) = (ctx.queue(QUEUED)?, ctx.queue(QUEUED)?);
        let mut waiting = Waiting { questions, answers, processes: Vec::with_capacity(size) };
        for _ in 0..size {
            let args = (&waiting.questions, &waiting.answers);
            waiting.processes.push(ctx.process("answer").args(args).start()?);
        }
        Ok(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.questions.close();
        self.processes.iter().for_each(|process| drop(process.join()));
    }
}

/// An operation beside so many processes that wait, which are started for the first sample.
fn beside(ctx: &Context, alive: usize, work: fn(&Context, u64) -> anyhow::Result<Duration>) -> Run {
    let (ctx, mut waiting) = (ctx.clone(), None);
    Box::new(move |n| {
        if waiting.is_none() {
            waiting = Some(Waiting::start(&ctx, alive)?);
        }
        work(&ctx, n)
    })
}

/// A message to a queue at which so many wait, and the answer of one of them.
fn asked(ctx: &Context, waiting: usize) -> Run {
    let (ctx, mut crowd) = (ctx.clone(), None);
    Box::new(move |n| {
        let crowd = match &mut crowd {
            Some(crowd) => crowd,
            none => none.insert(Waiting::start(&ctx, waiting)?),
        };
        let took: Queue<u64> = ctx.queue(1)?;
        let args = (&crowd.questions, &crowd.answers, n, &took);
        let asker = ctx.process("ask").args(args).start()?;
        let nanos = took.get()?;
        asker.join()?;
        Ok(Duration::from_nanos(nanos))
    })
}

/// The time from one message that is got to the `n`th after it, which so many put.
fn produced(ctx: &Context, producers: usize, n: u64) -> anyhow::Result<Duration> {
    let q: Queue<Bytes> = ctx.queue(QUEUED)?;
    let took: Queue<u64> = ctx.queue(1)?;
    let consumer = ctx.process("get_many").args((&q, n, &took)).start()?;
    // What is too much stays in the queue: it is less than one from each.
    let each = (n + 1).div_ceil(producers as u64);
    let start = |_| ctx.process("put_many").args((&q, each, SMALL)).start();
    let processes = (0..producers).map(start).collect::<Result<Vec<_>, _>>()?;
    let nanos = took.get()?;
    for process in processes.iter().chain([&consumer]) {
        anyhow::ensure!(process.join()?.success(), "a worker failed");
    }
    Ok(Duration::from_nanos(nanos))
}

/// Taking and releasing one lock, `n` times by so many together: the time of the slowest.
fn locked(ctx: &Context, holders: usize, n: u64) -> anyhow::Result<Duration> {
    let lock = ctx.lock()?;
    let took: Queue<u64> = ctx.queue(holders)?;
    let each = n.div_ceil(holders as u64);
    let start = |_| ctx.process("lock_many").args((&lock, each, &took)).start();
    let processes = (0..holders).map(start).collect::<Result<Vec<_>, _>>()?;
    let mut slowest = 0;
    for process in &processes {
        slowest = slowest.max(took.get()?);
        process.join()?;
    }
    Ok(Duration::from_nanos(slowest))
}
