//! A pool of three workers and four tasks: apply_async, close, join. Join before close is an error.

use crate::Shown;
use procbox_guest::prelude::*;

#[worker]
fn greets(name: String) -> String {
    format!("hello {name}")
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let pool = ctx.pool(greets).workers(3).build()?;
    let results = ["Ada", "Grace", "Barbara", "Frances"]
        .map(|name| pool.apply_async((name,)))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    if let Err(e) = pool.join() {
        println!("main: join: {e}");
    }
    pool.close();
    if let Err(e) = pool.apply_async(("late",)) {
        println!("main: apply_async after close: {e}");
    }
    pool.join()?;
    println!("main: joined");
    for result in results {
        println!("main: {}", result.get()?);
    }
    Ok(())
}
