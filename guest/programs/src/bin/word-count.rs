//! Counts the lines, words and bytes of a text, as `wc` does: bytes in, `words lines bytes` out.
//!
//!     procbox map target/programs/word-count.wasm FILE...
//!
//! Run by itself it counts its standard input.

use procbox_guest::prelude::*;
use std::io::Read;

/// `words lines bytes` of a text.
#[worker]
fn count(text: Bytes) -> String {
    let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    format!("{words} {lines} {}\n", text.len())
}

fn main() -> anyhow::Result<()> {
    let _ctx = procbox_guest::init()?;
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    print!("{}", count(Bytes(text)));
    Ok(())
}
