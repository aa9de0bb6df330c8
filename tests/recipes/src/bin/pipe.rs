//! A pipe: a question and its answer, until the asker hangs up.
//
// prints HELLO
// prints BYE
// prints the worker exited with code 0

use procbox_guest::prelude::*;

#[worker]
fn shout(end: Pipe<String>) -> Result<()> {
    loop {
        match end.recv() {
            Ok(text) => end.send(&text.to_uppercase())?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let (here, there) = ctx.pipe::<String>()?;
    let p = ctx.process(shout).args((there,)).start()?;
    for text in ["hello", "bye"] {
        here.send(text)?;
        println!("{}", here.recv()?);
    }
    drop(here);
    println!("the worker {}", p.join()?);
    Ok(())
}
