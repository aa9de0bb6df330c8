use procbox_guest::prelude::*;

use std::fs::File;

#[worker]
fn count(file: File) -> u64 {
    file.metadata().map_or(0, |about| about.len())
}

fn main() {}
