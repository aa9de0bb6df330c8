//! In an async program a result comes by callback, on the thread that drives the pool.
//
// prints 7 is prime: true

use anyhow::Result;
use procbox::Sandbox;
use procbox::sandbox::Program;

async fn ask() -> Result<()> {
    let ctx = Sandbox::builder().build()?.context(Program::wasm("async_worker.wasm")?)?;
    let pool = ctx.pool::<(u64,), bool>("is_prime").workers(1).build()?;
    let (sender, answer) = tokio::sync::oneshot::channel();
    let _task = pool.apply_async_with((7u64,), move |end| drop(sender.send(end.clone())))?;
    let is_prime = answer.await?;
    println!("7 is prime: {}", is_prime?);
    Ok(())
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(ask())
}
