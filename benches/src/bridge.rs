//! A queue of a bridge between both backends, one end on each side, beside each backend's own.

use crate::{Case, FEW, MIDDLE, QUEUED, SMALL};
use procbox_core::{Backend, Bytes, Context, Queue};
use procbox_host::Sandbox;
use procbox_native::Native;
use std::path::Path;
use std::time::Duration;

/// Groups: the size of a message, and the most that are on the way.
const GROUPS: [(&str, usize, usize); 2] =
    [("bridge/64B/1p1c", SMALL, QUEUED), ("bridge/64KiB/1p1c", MIDDLE, FEW)];

/// Contenders: where the producer is, and the consumer. With both on one side it is that side's own queue.
const ENDS: [(&str, Backend, Backend); 4] = [
    ("native", Backend::Native, Backend::Native),
    ("sandbox", Backend::Sandbox, Backend::Sandbox),
    ("native to sandbox", Backend::Native, Backend::Sandbox),
    ("sandbox to native", Backend::Sandbox, Backend::Native),
];

/// The cases of a bridge.
///
/// # Errors
/// If the program `bench` is not there, or a backend does not work here.
pub(super) fn cases(programs: &Path) -> anyhow::Result<Vec<Case>> {
    let program = procbox_native::Program::open(programs.join("bench"))?;
    let native = Native::builder().program(program).build()?;
    let program = procbox_host::Program::wasm(programs.join("bench.wasm"))?;
    let sandbox = Sandbox::builder().build()?.context(program)?;
    let bridge = Context::bridge(&native, &sandbox)?;
    let mut cases = Vec::new();
    for (group, size, queued) in GROUPS {
        for (contender, from, to) in ENDS {
            let ctx = match from {
                Backend::Sandbox if from == to => sandbox.clone(),
                _ => bridge.clone(),
            };
            let run = move |n| stream(&ctx, (from, to), (size, queued), n);
            cases.push(Case { group, contender, ops: None, run: Box::new(run) });
        }
    }
    Ok(cases)
}

/// The time from one message that is got to the `n`th after it.
fn stream(
    ctx: &Context,
    (from, to): (Backend, Backend),
    (size, queued): (usize, usize),
    n: u64,
) -> anyhow::Result<Duration> {
    let q: Queue<Bytes> = ctx.queue(queued)?;
    let took: Queue<u64> = ctx.queue(1)?;
    let consumer = ctx.process("get_many").args((&q, n, &took)).on(to).start()?;
    let producer = ctx.process("put_many").args((&q, n + 1, size)).on(from).start()?;
    let nanos = took.get()?;
    anyhow::ensure!(producer.join()?.success() && consumer.join()?.success(), "a worker failed");
    Ok(Duration::from_nanos(nanos))
}
