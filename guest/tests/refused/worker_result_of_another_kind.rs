use procbox_guest::worker;

#[derive(serde::Serialize)]
pub struct Result(u32);

#[worker]
fn counted() -> Result {
    Result(3)
}

fn main() {}
