//! What those who watch are told, on both backends. One test: there is one list of subscribers.

use anyhow::ensure;
use procbox::observe::{Event, Subscriber, subscribe};
use procbox::{Context, Error, Limit, Queue};
use procbox_tests::{Backend, watched};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The events so far, in words.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Subscriber for Heard {
    fn event(&self, event: &Event<'_>) {
        let words = match event {
            Event::ProcessStarted { name, .. } => format!("{name} started"),
            Event::ProcessEnded { name, status, .. } => format!("{name} {status}"),
            Event::LimitHit { name, limit, .. } => format!("{name} hit {limit}"),
            Event::TaskGiven { task, count, .. } => format!("given {task} and {count} in all"),
            Event::TaskDone { task, .. } => format!("done {task}"),
            Event::TaskFailed { task, error, .. } => format!("failed {task}: {error}"),
            Event::TaskRetried { task, attempts, .. } => format!("again {task} after {attempts}"),
            Event::WorkerReplaced { .. } => "replaced".to_string(),
            Event::WaitBegun { on, .. } => format!("waits in {:?}", on.operation),
            Event::WaitEnded { on, success, .. } => format!("{:?} ended: {success}", on.operation),
            _ => return,
        };
        self.0.lock().unwrap().push(words);
    }
}

impl Heard {
    /// Whether all of these were heard, in this order, whatever came between.
    fn heard(&self, those: &[&str]) -> anyhow::Result<()> {
        let all = self.0.lock().unwrap();
        let mut rest = all.iter();
        for one in those {
            ensure!(rest.any(|words| words == one), "no `{one}` in order in {all:#?}");
        }
        Ok(())
    }
}

fn those_who_watch_are_told(ctx: &Context) -> anyhow::Result<()> {
    let heard = Arc::new(Heard::default());
    let subscription = subscribe(heard.clone());

    let p = ctx.process("double").args((4u64,)).name("two").start()?;
    ensure!(p.join()?.success());
    heard.heard(&["two started", "two exited with code 0"])?;

    let q: Queue<u32> = ctx.queue(1)?;
    ensure!(q.get_timeout(Duration::from_millis(1)) == Err(Error::Empty));
    heard.heard(&["waits in QueueGet", "QueueGet ended: false"])?;
    q.put(&1)?;
    ensure!(q.put_timeout(&2, Duration::from_millis(1)) == Err(Error::Full));
    heard.heard(&["waits in QueuePut", "QueuePut ended: false"])?;

    let (started, never) = (ctx.event()?, ctx.event()?);
    let blocked = ctx.process("blocks").args((&started, &never)).name("slow");
    let p = blocked.timeout(Duration::from_millis(50)).start()?;
    ensure!(p.join()?.limit() == Some(Limit::WallClock));
    heard.heard(&["slow started", "slow hit wall-clock time"])?;
    heard.heard(&["waits in Join", "Join ended: true"])?;

    let pool = ctx.pool::<(u64,), u64>("double").workers(1).build()?;
    ensure!(pool.apply((2,))? == 4);
    heard.heard(&["given 0 and 1 in all", "done 0"])?;
    drop(pool);

    drop(subscription);
    let before = heard.0.lock().unwrap().len();
    ensure!(ctx.process("double").args((4u64,)).start()?.join()?.success());
    ensure!(heard.0.lock().unwrap().len() == before, "nobody listens any more");
    Ok(())
}

#[test]
fn those_who_watch_are_told_on_both_backends() {
    for backend in [Backend::Native, Backend::Sandbox] {
        watched(backend, those_who_watch_are_told);
    }
}
