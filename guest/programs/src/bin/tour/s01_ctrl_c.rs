//! Ctrl-C reaches a main that is blocked in a join. Here a worker plays main, and Ctrl-C is sent to
//! it alone with `interrupt`; `tour ctrl-c wait` blocks until a real one comes from the keyboard.

use crate::Shown;
use procbox_guest::prelude::*;
use procbox_guest::{answer_ctrl_c, clear_interrupt};

#[worker]
fn waits(forever: Event) -> Result<()> {
    forever.wait().map(drop)
}

#[worker]
fn blocked_main(about_to_block: Event) -> Result<()> {
    answer_ctrl_c()?;
    let ctx = procbox_guest::context()?;
    let p = ctx.process(waits).args((&ctx.event()?,)).daemon(true).start()?;
    about_to_block.set();
    println!("main: join said: {}", said(&p));
    clear_interrupt();
    println!("main: the worker is alive: {}", p.is_alive());
    p.terminate()?;
    println!("main: it {}", p.join()?);
    Ok(())
}

fn said(p: &Process) -> String {
    p.join().map_or_else(|e| e.to_string(), |status| status.to_string())
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let about_to_block = ctx.event()?;
    let main = ctx.process(blocked_main).args((&about_to_block,)).start()?;
    about_to_block.wait()?;
    main.interrupt()?;
    println!("main itself {}", main.join()?);
    Ok(())
}

/// Blocks until Ctrl-C.
pub(crate) fn wait(ctx: &Context) -> Shown {
    answer_ctrl_c()?;
    let p = ctx.process(waits).args((&ctx.event()?,)).daemon(true).start()?;
    println!("main is blocked in a join: press Ctrl-C");
    p.join()?;
    Ok(())
}
