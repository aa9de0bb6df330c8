//! How a process ended is a number, the same on both backends.
//
// prints 0 1 7 -15

use procbox_guest::prelude::*;

#[worker]
fn ends(how: String) -> Result<()> {
    match &how[..] {
        "well" => Ok(()),
        "badly" => Err(Error::Invalid("as it should".into())),
        "by itself" => std::process::exit(7),
        _ => loop {
            std::thread::yield_now();
        },
    }
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let mut codes = Vec::new();
    for how in ["well", "badly", "by itself"] {
        let p = ctx.process(ends).args((how,)).start()?;
        codes.push(p.join()?.exitcode());
    }
    let p = ctx.process(ends).args(("never",)).start()?;
    p.terminate()?;
    codes.push(p.join()?.exitcode());
    println!("{} {} {} {}", codes[0], codes[1], codes[2], codes[3]);
    Ok(())
}
