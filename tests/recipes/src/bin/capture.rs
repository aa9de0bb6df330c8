//! A command of the system, with a text for its stdin, a time limit, and what it prints.
//
// prints "HELLO\n", and it exited with code 0

use procbox::{Input, Native, Output, Result, native::Program};
use std::time::Duration;

fn main() -> Result<()> {
    let ctx = Native::builder().program(Program::open("/usr/bin/tr")?).build()?;
    let p = ctx
        .main(["a-z", "A-Z"])
        .stdin(Input::Bytes(b"hello\n".to_vec()))
        .stdout(Output::Capture)
        .timeout(Duration::from_secs(60))
        .start()?;
    let status = p.join()?;
    println!("{:?}, and it {status}", String::from_utf8_lossy(&p.output()?));
    Ok(())
}
