//! The same with the workers of a native program.
//
// prints 0
// prints 1
// prints 2

use procbox::{Native, Queue};

fn main() -> procbox::Result<()> {
    let ctx = Native::builder().program(procbox::native::Program::open("workers")?).build()?;
    let q: Queue<u32> = ctx.queue(16)?;
    let p = ctx.process("writer").args((&q, 3u32)).start()?;
    for _ in 0..3 {
        println!("{}", q.get()?);
    }
    assert!(p.join()?.success());
    Ok(())
}
