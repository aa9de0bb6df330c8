//! A lock: two workers change one value, and no change is lost.
//
// prints 200

use procbox_guest::prelude::*;

#[worker]
fn count(lock: Lock, cell: Queue<u32>) -> Result<()> {
    for _ in 0..100 {
        let _guard = lock.lock()?;
        let n = cell.get()?;
        cell.put(&(n + 1))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let (lock, cell) = (ctx.lock()?, ctx.queue::<u32>(1)?);
    cell.put(&0)?;
    let a = ctx.process(count).args((&lock, &cell)).start()?;
    let b = ctx.process(count).args((&lock, &cell)).start()?;
    a.join()?;
    b.join()?;
    println!("{}", cell.get()?);
    Ok(())
}
