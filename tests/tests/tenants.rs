//! What the fresh tasks of a pool have not in common.

use procbox::{Bytes, Context, Event, Queue};
use procbox_tests::{Backend, watched};

fn two_fresh_tasks_listen_under_one_name(ctx: &Context) -> anyhow::Result<()> {
    type Args = (String, Bytes, Event, Queue<String>);
    let pool = ctx.pool::<Args, ()>("echoes_to_strangers").workers(2).fresh_per_task().build()?;
    let (refused, key) = (ctx.queue(8)?, Bytes(b"a key".to_vec()));
    let listening = [ctx.event()?, ctx.event()?];
    let tasks = listening.iter().map(|listens| {
        pool.apply_async(("shared".to_string(), key.clone(), listens.clone(), refused.clone()))
    });
    let tasks: Vec<_> = tasks.collect();
    // Were the name one and the same, one of them would end, and not listen.
    for listens in &listening {
        listens.wait()?;
    }
    pool.terminate();
    drop(tasks);
    Ok(())
}

#[test]
fn a_fresh_task_meets_no_other_by_a_listeners_name() {
    watched(Backend::Sandbox, two_fresh_tasks_listen_under_one_name);
}
