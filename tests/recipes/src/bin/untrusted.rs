//! What untrusted code can use is bounded, and the status says which bound it met.
//
// prints it is out of fuel

use procbox::sandbox::Program;
use procbox::{Result, Sandbox};
use std::time::Duration;

fn main() -> Result<()> {
    let builder = Sandbox::builder().memory(64 << 20).max_processes(16);
    let sandbox = builder.fuel(100_000_000).build()?;
    let ctx = sandbox.context(Program::wasm("untrusted.wasm")?)?;
    let p = ctx.process("grade").timeout(Duration::from_secs(5)).start()?;
    if let Some(limit) = p.join()?.limit() {
        println!("it is out of {limit}");
    }
    Ok(())
}
