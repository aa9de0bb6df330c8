//! Workers that send what they make, or answer, and keep nothing.

use procbox_guest::prelude::*;
use procbox_guest::{Receiver, SharedBytes};

/// Sends regions, which it keeps no handle of.
#[worker]
fn sends_regions(q: Queue<SharedBytes>, size: u32, many: u32) -> Result<()> {
    let ctx = procbox_guest::context()?;
    (0..many).try_for_each(|_| q.put(&ctx.shared_bytes(size as usize)?))
}

/// Sends ends of pipes, into each of which it has sent something.
#[worker]
fn sends_full_pipes(q: Queue<Receiver<Bytes>>, size: u32, many: u32) -> Result<()> {
    let ctx = procbox_guest::context()?;
    for _ in 0..many {
        let (theirs, ours) = ctx.simplex_pipe::<Bytes>()?;
        ours.send(&Bytes(vec![7; size as usize]))?;
        drop(ours);
        q.put(&theirs)?;
    }
    Ok(())
}

/// Answers once on each queue, which it lets go of before it says that it did.
#[worker]
fn answers_apart(jobs: Queue<Queue<Bytes>>, done: Queue<()>, size: u32) -> Result<()> {
    loop {
        match jobs.get() {
            Ok(reply) => reply.put(&Bytes(vec![7; size as usize]))?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
        done.put(&())?;
    }
}
