//! Where workers run is chosen when the program runs.
//
// prints native: [1, 4, 9]
// prints sandbox: [1, 4, 9]

use procbox::{Context, Native, Result, Sandbox, native, sandbox};

fn context(wants_a_sandbox: bool) -> Result<Context> {
    if wants_a_sandbox {
        Sandbox::builder().build()?.context(sandbox::Program::wasm("map.wasm")?)
    } else {
        Native::builder().program(native::Program::open("map")?).build()
    }
}

fn main() -> Result<()> {
    for (name, wants_a_sandbox) in [("native", false), ("sandbox", true)] {
        let ctx = context(wants_a_sandbox)?;
        let pool = ctx.pool::<(u64,), u64>("square").workers(2).build()?;
        println!("{name}: {:?}", pool.map(1..4u64)?);
    }
    Ok(())
}
