use procbox_guest::prelude::*;

#[worker]
fn double(n: u64) -> u64 {
    2 * n
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    ctx.process(double).args(("3",)).start()?;
    Ok(())
}
