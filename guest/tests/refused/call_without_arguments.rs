use procbox_guest::prelude::*;

#[worker]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    ctx.process(add).start()?;
    Ok(())
}
