//! A pool of a program's workers, by name, with tuples as inputs.
//
// prints [168, 135, 127, 120, 119, 114, 117, 107, 110, 112]

use procbox::sandbox::Program;
use procbox::{Result, Sandbox};

fn main() -> Result<()> {
    let ctx = Sandbox::builder().build()?.context(Program::wasm("primes.wasm")?)?;
    let pool = ctx.pool::<(u64, u64), u64>("primes_between").workers(4).build()?;
    let counts = pool.starmap((0..10).map(|i| (i * 1000, (i + 1) * 1000)))?;
    println!("{counts:?}");
    Ok(())
}
