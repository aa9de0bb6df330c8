use procbox_guest::prelude::*;

#[worker]
fn writer(out: Queue<u32>) -> Result<()> {
    out.put(&1)
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let out = ctx.queue::<String>(16)?;
    ctx.process(writer).args((&out,)).start()?;
    Ok(())
}
