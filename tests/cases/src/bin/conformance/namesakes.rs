//! Workers that have one name, another name, and results under other names.

use procbox_guest::prelude::*;

mod left {
    #[procbox_guest::worker]
    pub(crate) fn namesake() -> u32 {
        1
    }
}

mod right {
    #[procbox_guest::worker]
    pub(crate) fn namesake() -> u32 {
        2
    }
}

#[worker]
fn calls_its_namesakes_by_item(out: Queue<Vec<u32>>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    let left = ctx.pool(left::namesake).workers(1).build()?;
    let right = ctx.pool(right::namesake).initializer(left::namesake, ()).workers(1).build()?;
    out.put(&vec![left.apply(())?, right.apply(())?, left::namesake()])
}

#[worker(name = "given-name")]
fn has_a_given_name() -> u32 {
    4
}

/// A `Result` that is not called so.
type Verdict = std::result::Result<u32, String>;

#[worker]
fn verdict_under_an_alias(fails: bool) -> Verdict {
    if fails { Err("as it should".into()) } else { Ok(7) }
}

mod aliased {
    /// A `Result` whose parameter is not what is in its `Ok`.
    pub(crate) type Result<T> = std::result::Result<Vec<T>, String>;
}

#[worker]
fn result_under_an_alias(fails: bool) -> aliased::Result<u32> {
    if fails { Err("as it should".into()) } else { Ok(vec![7]) }
}
