//! `procbox map`: a pool over files or lines.

use super::MapArgs;
use super::inputs::{self, Names};
use super::open::{choose_worker, open};
use super::progress::Progress;
use procbox::{Bytes, Context, Error, Output, Pool, PoolBuilder};
use std::io::{BufWriter, ErrorKind, Write};
use std::time::{Duration, Instant};

/// Lines are small: so many travel together by default.
const LINES_PER_CHUNK: usize = 64;
/// Results are written out at least this often.
const FLUSH_EVERY: Duration = Duration::from_millis(50);
/// The status when `--timeout` ran out.
const TIMED_OUT: u8 = 124;

/// How a map came to its end.
enum End {
    All,
    /// The reader of stdout has gone.
    NoReader,
    OutOfTime,
}

pub(super) fn map(args: MapArgs) -> anyhow::Result<u8> {
    procbox::answer_ctrl_c()?;
    let ctx = open(&args.path, &args.program)?;
    let pool = pool(&ctx, &args)?;
    let names = Names::default();
    let total = (!args.inputs.is_empty()).then_some(args.inputs.len() as u64);
    let mut progress = Progress::new(total, args.program.quiet);
    let deadline = args.timeout.and_then(|t| Instant::now().checked_add(t));
    let inputs: Box<dyn Iterator<Item = Bytes>> = if args.inputs.is_empty() {
        Box::new(inputs::lines(names.clone()))
    } else {
        Box::new(inputs::files(args.inputs, names.clone()))
    };
    let end = print_results(&pool, inputs, args.unordered, &names, &mut progress, deadline)?;
    match end {
        End::All => {
            pool.close();
            pool.join()?;
        }
        End::NoReader | End::OutOfTime => pool.terminate(),
    }
    if !matches!(end, End::NoReader) {
        progress.summary(pool.counters(), names.unreadable());
    }
    Ok(match end {
        End::OutOfTime => TIMED_OUT,
        End::All if progress.failures() + names.unreadable() > 0 => super::FAILURE,
        End::All | End::NoReader => 0,
    })
}

fn pool(ctx: &Context, args: &MapArgs) -> anyhow::Result<Pool<(Bytes,), Bytes>> {
    let worker = choose_worker(ctx, args.program.worker.as_deref())?;
    let mut builder: PoolBuilder<(Bytes,), Bytes> = match worker {
        Some(name) => ctx.pool_of(&name),
        None => ctx.pool_of_main(Vec::<String>::new()),
    };
    let per_chunk = if args.inputs.is_empty() { LINES_PER_CHUNK } else { 1 };
    builder = builder
        .chunk_size(args.chunk_size.unwrap_or(per_chunk))
        .retries(args.retries)
        // What a worker prints is not a result.
        .stdout(Output::Stderr)
        .idempotent(true);
    if let Some(jobs) = args.jobs {
        builder = builder.workers(jobs);
    }
    if let Some(timeout) = args.task_timeout {
        builder = builder.task_timeout(timeout);
    }
    if let Some(n) = args.max_tasks_per_child {
        builder = builder.max_tasks_per_child(n);
    }
    if args.fresh {
        builder = builder.fresh_per_task();
    }
    Ok(builder.build()?)
}

fn print_results(
    pool: &Pool<(Bytes,), Bytes>,
    inputs: Box<dyn Iterator<Item = Bytes>>,
    unordered: bool,
    names: &Names,
    progress: &mut Progress,
    deadline: Option<Instant>,
) -> anyhow::Result<End> {
    let mut results: Box<dyn Results> =
        if unordered { Box::new(pool.imap_unordered(inputs)) } else { Box::new(pool.imap(inputs)) };
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let mut flushed = Instant::now();
    loop {
        let next = match results.next_by(deadline) {
            Ok(next) => next,
            Err(Error::TimedOut) if deadline.is_some_and(|at| at > Instant::now()) => continue,
            Err(Error::TimedOut) => return Ok(End::OutOfTime),
            Err(e) => return Err(e.into()),
        };
        let Some((index, result)) = next else { break };
        let name = names.take(index);
        let written = match result {
            Ok(Bytes(bytes)) => {
                progress.done();
                out.write_all(&bytes)
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted.into()),
            Err(why @ Error::PoolBroken(_)) => return Err(why.into()),
            Err(why) => {
                progress.failed(&name, &why.to_string());
                Ok(())
            }
        };
        let written = written.and_then(|()| {
            if flushed.elapsed() > FLUSH_EVERY {
                flushed = Instant::now();
                return out.flush();
            }
            Ok(())
        });
        match written {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                let _ = out.into_parts(); // What is in it has no reader.
                return Ok(End::NoReader);
            }
            Err(e) => return Err(e.into()),
        }
    }
    match out.flush() {
        Ok(()) => Ok(End::All),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(End::NoReader),
        Err(e) => Err(e.into()),
    }
}

/// The two kinds of `imap` as one.
trait Results {
    fn next_by(&mut self, deadline: Option<Instant>) -> procbox::Result<Option<Item>>;
}

type Item = (usize, procbox::Result<Bytes>);

impl<I: Iterator<Item = procbox::Result<procbox::Message>>> Results
    for procbox::TaskResults<Bytes, I>
{
    fn next_by(&mut self, deadline: Option<Instant>) -> procbox::Result<Option<Item>> {
        match deadline {
            None => Ok(self.next()),
            Some(at) => self.next_timeout(at.saturating_duration_since(Instant::now())),
        }
    }
}
