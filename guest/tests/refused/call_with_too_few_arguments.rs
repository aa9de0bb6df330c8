use procbox_guest::prelude::*;

#[worker]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    ctx.process(add).args((1u64,)).start()?;
    Ok(())
}
