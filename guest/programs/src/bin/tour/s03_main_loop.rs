//! A worker that was handed the right posts callbacks to main, the last of them "exit with 3".
//! While main waits for them it answers Ctrl-C.

use crate::Shown;
use procbox_guest::prelude::*;
use serde::{Deserialize, Serialize};

/// What main can be asked to do.
#[derive(Serialize, Deserialize)]
enum Ask {
    Say(String),
    Add(u32, u32),
}

#[worker]
fn asks(main: Poster<Ask>) -> Result<()> {
    main.post(&Ask::Say("hello from a worker".into()))?;
    main.post(&Ask::Add(1, 2))?;
    main.exit(3)
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let main: MainLoop<Ask> = ctx.main_loop()?;
    let p = ctx.process(asks).args((&main.poster(),)).start()?;
    let code = main.run(|ask| match ask {
        Ask::Say(text) => println!("main: {text}"),
        Ask::Add(a, b) => println!("main: {a} + {b} = {}", a + b),
    })?;
    println!("main: asked to exit with {code}; a program would now call exit({code})");
    println!("main: the worker {}", p.join()?);
    Ok(())
}
