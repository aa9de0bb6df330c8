//! In an async program each wait is a future, which needs no thread of its own.
//
// prints 7 is prime: true
// prints hello
// prints ended with 0

use anyhow::Result;
use procbox::Sandbox;
use procbox::sandbox::Program;

async fn ask() -> Result<()> {
    let ctx = Sandbox::builder().build()?.context(Program::wasm("async_worker.wasm")?)?;
    let pool = ctx.pool::<(u64,), bool>("is_prime").workers(1).build()?;
    let q = ctx.queue::<String>(16)?;
    q.put_async("hello").await?;
    let process = ctx.process("is_prime").args((7u64,)).start()?;
    let is_prime = pool.apply_async((7u64,))?.await?;
    let text = q.get_async().await?;
    let status = process.join_async().await?;
    println!("7 is prime: {is_prime}");
    println!("{text}");
    println!("ended with {}", status.exitcode());
    Ok(())
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(ask())
}
