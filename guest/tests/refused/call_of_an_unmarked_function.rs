use procbox_guest::prelude::*;

fn tick(times: u32) {
    (0..times).for_each(|_| println!("tick"));
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    ctx.process(tick).args((3u32,)).start()?;
    Ok(())
}
