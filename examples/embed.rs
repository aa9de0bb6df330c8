//! A native program that runs workers of a `.wasm` file by name, in a sandbox of its own: it counts
//! the words of files, each in a pool of processes that can touch nothing.
//!
//!     make programs && cargo run --release --example embed -- /usr/share/common-licenses/*

use procbox::sandbox::Program;
use procbox::{Bytes, Sandbox};

fn main() -> anyhow::Result<()> {
    let sandbox = Sandbox::builder().memory(64 << 20).max_processes(8).build()?;
    let ctx = sandbox.context(Program::wasm("target/programs/word-count.wasm")?)?;
    for worker in ctx.workers()? {
        println!("the program offers {}", worker.name);
    }
    // The types are the worker's: bytes in, a text out. It checks what it gets.
    let pool = ctx.pool::<(Bytes,), String>("count").workers(2).build()?;
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let texts = paths.iter().map(std::fs::read).collect::<std::io::Result<Vec<_>>>()?;
    for (path, counted) in paths.iter().zip(pool.map(texts.into_iter().map(Bytes))?) {
        print!("{path}: {counted}");
    }
    Ok(())
}
