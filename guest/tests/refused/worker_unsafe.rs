use procbox_guest::prelude::*;

#[worker]
unsafe fn peek(at: usize) -> u8 {
    unsafe { *(at as *const u8) }
}

#[worker]
extern "C" fn add(a: i32, b: i32) -> i32 {
    a + b
}

fn main() {}
