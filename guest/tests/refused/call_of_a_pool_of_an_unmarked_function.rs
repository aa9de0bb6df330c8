use procbox_guest::prelude::*;

fn double(n: u64) -> u64 {
    2 * n
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let pool = ctx.pool(double).build()?;
    println!("{:?}", pool.map(0..3u64)?);
    Ok(())
}
