//! Handles travel in messages: a question brings the queue for its answer.
//
// prints 42

use procbox_guest::prelude::*;

#[worker]
fn serve(questions: Queue<(u32, Queue<u32>)>) -> Result<()> {
    let (n, answer) = questions.get()?;
    answer.put(&(2 * n))
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let questions = ctx.queue::<(u32, Queue<u32>)>(1)?;
    let p = ctx.process(serve).args((&questions,)).start()?;
    let answer = ctx.queue::<u32>(1)?;
    questions.put(&(21, answer.clone()))?;
    println!("{}", answer.get()?);
    p.join()?;
    Ok(())
}
