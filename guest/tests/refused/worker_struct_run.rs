use procbox_guest::prelude::*;

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct WithArguments;

#[worker]
impl WithArguments {
    fn run(self, ticks: u32) {
        println!("{ticks}");
    }
}

#[derive(Serialize, Deserialize)]
struct WithoutSelf;

#[worker]
impl WithoutSelf {
    fn run() {}
}

#[derive(Serialize, Deserialize)]
struct WithoutRun;

#[worker]
impl WithoutRun {
    fn walk(self) {}
}

#[derive(Serialize, Deserialize)]
struct Async;

#[worker]
impl Async {
    async fn run(self) {}
}

#[derive(Serialize, Deserialize)]
struct Generic<T>(T);

#[worker]
impl<T> Generic<T> {
    fn run(self) {}
}

#[derive(Serialize, Deserialize)]
struct OfATrait;

trait Run {
    fn run(self);
}

#[worker]
impl Run for OfATrait {
    fn run(self) {}
}

fn main() {}
