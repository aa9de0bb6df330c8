//! A plain program without procbox in it, in the sandbox: what it may read, and what it says.
//
// prints it exited with code 0: "first line\nsecond line\n"

use procbox::sandbox::{Grants, Program};
use procbox::{Output, Result, Sandbox};

fn main() -> Result<()> {
    let grants = Grants::default().dir_read_only(".", "/in").processes(false);
    let ctx = Sandbox::builder().build()?.context_with(Program::wasm("plain.wasm")?, grants)?;
    let p = ctx.main(["cat", "/in/text"]).stdout(Output::Capture).start()?;
    let status = p.join()?;
    println!("it {status}: {:?}", String::from_utf8_lossy(&p.output()?));
    Ok(())
}
