//! Arguments and results are whatever serde can write.
//
// prints Ada is 36

use procbox_guest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Person {
    name: String,
    born: u32,
}

#[worker]
fn age(person: Person, now: u32) -> String {
    format!("{} is {}", person.name, now - person.born)
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let pool = ctx.pool(age).workers(1).build()?;
    let ada = Person { name: "Ada".into(), born: 1815 };
    println!("{}", pool.apply((ada, 1851))?);
    Ok(())
}
