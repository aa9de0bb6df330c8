//! A semaphore: at most two at a time.
//
// prints never more than 2

use procbox_guest::prelude::*;

#[worker]
fn visit(seats: Semaphore, inside: Queue<()>, most: Queue<usize>) -> Result<()> {
    let _permit = seats.permit()?;
    inside.put(&())?;
    most.put(&inside.len())?;
    inside.get()
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let (seats, inside, most) = (ctx.semaphore(2)?, ctx.queue(8)?, ctx.queue(8)?);
    let visitors = (0..4)
        .map(|_| ctx.process(visit).args((&seats, &inside, &most)).start())
        .collect::<Result<Vec<_>>>()?;
    for visitor in &visitors {
        visitor.join()?;
    }
    let seen = visitors.iter().map(|_| most.get()).collect::<Result<Vec<usize>>>()?;
    assert!(seen.iter().all(|n| *n <= 2), "{seen:?}");
    println!("never more than 2");
    Ok(())
}
