//! A trusted program starts the workers of one that it does not trust.
//
// prints 0
// prints 1
// prints 2

fn main() -> procbox::Result<()> {
    use procbox::sandbox::Program;
    use procbox::{Queue, Sandbox};

    let sandbox = Sandbox::builder().memory(64 << 20).build()?;
    let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    let q: Queue<u32> = ctx.queue(16)?;
    let p = ctx.process("writer").args((&q, 3u32)).start()?;
    for _ in 0..3 {
        println!("{}", q.get()?);
    }
    assert!(p.join()?.success());
    Ok(())
}
