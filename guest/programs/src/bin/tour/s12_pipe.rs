//! A duplex pipe: both ends send and receive. A simplex one: what the sender sends, the receiver
//! receives. When an end is gone the other is told.

use crate::Shown;
use procbox_guest::prelude::*;

#[worker]
fn answers(pipe: Pipe<String>) -> Result<()> {
    let heard = pipe.recv()?;
    pipe.send(&format!("{heard}? {heard}!"))
}

#[worker]
fn sends(sender: Sender<u32>, n: u32) -> Result<()> {
    (1..=n).try_for_each(|i| sender.send(&i))
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let (here, there) = ctx.pipe::<String>()?;
    let p = ctx.process(answers).args((&there,)).start()?;
    drop(there);
    here.send("ping")?;
    println!("main: the worker says {}", here.recv()?);
    p.join()?;
    if let Err(e) = here.recv() {
        println!("main: recv: {e}");
    }
    if let Err(e) = here.send("ping") {
        println!("main: send: {e}");
    }
    let (receiver, sender) = ctx.simplex_pipe::<u32>()?;
    let p = ctx.process(sends).args((&sender, 3)).start()?;
    drop(sender);
    let end = loop {
        match receiver.recv() {
            Ok(i) => println!("main: received {i}"),
            Err(e) => break e,
        }
    };
    println!("main: recv: {end}");
    p.join()?;
    Ok(())
}
