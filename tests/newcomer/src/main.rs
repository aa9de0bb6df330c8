//! A program with a worker of the name that one of its own library has, and with a test.

use pb::prelude::*;

/// Not the library's: that one is `newcomer::double` too.
#[worker]
fn double(n: u64) -> u64 {
    20 * n
}

#[worker(crate = "pb", name = "farewell")]
fn says_goodbye(name: String) -> String {
    format!("goodbye, {name}")
}

fn main() -> Result<()> {
    let ctx = pb::init()?;
    let own = ctx.pool(double).workers(1).build()?.apply((1,))?;
    let librarys = ctx.pool(newcomer::double).workers(1).build()?.apply((1,))?;
    let shapes = ctx.pool(newcomer::shapes::double).workers(1).build()?.apply((vec![1],))?;
    println!("{own} {librarys} {shapes:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_of_a_program_starts_its_workers() -> Result<()> {
        let pool = pb::context()?.pool(double).workers(1).build()?;
        assert_eq!(pool.apply((2,))?, 40);
        let pool = pb::context()?.pool(says_goodbye).workers(1).build()?;
        assert_eq!(pool.apply(("test",))?, "goodbye, test");
        Ok(())
    }
}
