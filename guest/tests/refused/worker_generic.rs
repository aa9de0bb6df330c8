use procbox_guest::prelude::*;

#[worker]
fn show<T: std::fmt::Display>(value: T) {
    println!("{value}");
}

#[worker]
fn longest(texts: Vec<impl AsRef<str>>) -> usize {
    texts.iter().map(|text| text.as_ref().len()).max().unwrap_or(0)
}

fn main() {}
