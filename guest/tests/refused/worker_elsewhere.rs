use procbox_guest::prelude::*;

#[worker]
struct Clock;

#[worker(daemon)]
fn tick() {}

fn main() {}
