use procbox_guest::prelude::*;

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let times = 3;
    ctx.process(move || println!("{times}")).start()?;
    Ok(())
}
