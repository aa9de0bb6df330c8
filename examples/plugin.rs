//! A host for plug-ins that it does not trust: any WASI program, given some text on stdin, a second
//! of time and 32 MiB, and nothing else. Whatever the plug-in does, the host goes on.
//!
//!     make programs && cargo run --release --example plugin -- target/programs/word-count.wasm

use procbox::sandbox::{Grants, Program};
use procbox::{Input, Output, Sandbox};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let sandbox = Sandbox::builder().memory(32 << 20).max_processes(4).build()?;
    for path in std::env::args().skip(1) {
        // A plug-in is one process, and what it says when it traps is the host's to tell.
        let grants = Grants::default().processes(false).quiet(true);
        let ctx = match Program::wasm(&path).and_then(|it| sandbox.context_with(it, grants)) {
            Ok(ctx) => ctx,
            Err(e) => {
                println!("{e}");
                continue;
            }
        };
        let plugin = ctx
            .main([""; 0])
            .stdin(Input::Bytes(b"some words for the plug-in\n".to_vec()))
            .stdout(Output::Capture)
            .timeout(Duration::from_secs(1))
            .start()?;
        let status = plugin.join()?;
        let said = plugin.output()?;
        println!("{path} {status}; it said {:?}", String::from_utf8_lossy(&said));
    }
    Ok(())
}
