use procbox_guest::prelude::*;
fn main() -> anyhow::Result<()> {
    let _ctx = procbox_guest::init()?;
    Ok(())
}
