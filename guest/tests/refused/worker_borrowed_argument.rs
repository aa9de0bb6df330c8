use procbox_guest::prelude::*;

#[worker]
fn greet(name: &str) {
    println!("Hello, {name}");
}

#[worker]
fn sum(numbers: Vec<&u64>) -> u64 {
    numbers.into_iter().sum()
}

fn main() {}
