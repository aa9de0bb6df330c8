//! Trees of processes whose parents keep ending.

use crate::cases::Case;
use crate::space::filled;
use crate::{until, workers};
use procbox_core::Result;

/// The cases.
pub(crate) const ALL: &[(&str, Case)] =
    &[("kill_tree_finds_what_is_left_by_parents_that_keep_ending", kill_tree_finds_orphans)];

/// Each process of the tree starts the next and ends at once: nobody but the table knows whose it is.
fn kill_tree_finds_orphans() -> Result<()> {
    let ctx = procbox_native::Native::builder().build()?;
    for round in 0..10u64 {
        let (passed, never) = (ctx.queue::<u64>(2)?, ctx.event()?);
        let root =
            ctx.process(workers::begins_a_relay::worker()).args((&passed, &never)).start()?;
        while passed.get()? < 3 + round {}
        root.kill_tree()?;
        assert_eq!(root.join()?.exitcode(), -9);
        until("the whole tree has ended", || filled(&ctx).processes == 1);
    }
    Ok(())
}
