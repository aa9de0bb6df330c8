//! A program that is not to be trusted: its worker never ends.
//
// prints started by others only

use procbox_guest::prelude::*;

#[worker]
fn grade() -> Result<()> {
    let mut n = 0u64;
    loop {
        n = std::hint::black_box(n + 1);
    }
}

fn main() {
    println!("started by others only");
}
