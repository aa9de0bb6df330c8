use procbox_guest::prelude::*;

#[worker]
fn counted() -> std::rc::Rc<std::cell::Cell<u32>> {
    Default::default()
}

fn main() {}
