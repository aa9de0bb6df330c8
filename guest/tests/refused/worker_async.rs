use procbox_guest::prelude::*;

#[worker]
async fn fetch(page: String) -> Vec<u8> {
    page.into_bytes()
}

fn main() {}
