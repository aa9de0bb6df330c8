use procbox_guest::prelude::*;

struct Clock {
    ticks: u32,
}

impl Clock {
    #[worker]
    fn run(self) {
        println!("{}", self.ticks);
    }
}

fn main() {}
