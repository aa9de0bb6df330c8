use procbox_guest::prelude::*;

#[worker]
fn writer(out: Queue<u32>, n: u32) -> Result<()> {
    (0..n).try_for_each(|i| out.put(&i))
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let out = ctx.queue::<u32>(16)?;
    ctx.process(writer).args((&out, "three")).start()?;
    Ok(())
}
