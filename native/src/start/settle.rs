//! The end of a start, of which there is one truth: what the zygote answers, or else the slot.
//!
//! `tests/models` goes through the orders in which it can come about.

use crate::arena::Arena;
use crate::arena::slots::Claim;
use crate::sync::patience::Patience;
use crate::{recover, syscalls};
use procbox_core::{Error, Result};
use std::io::{self, ErrorKind};

/// The answer to a request for a fork: the pid, or what the zygote's kernel said. An error is that of a
/// zygote that is gone: it may have made the process before.
pub(crate) type Answer = Result<std::result::Result<i32, io::Error>>;

/// The pid of the process that was started for a claim. If there is none, the slot is given back, and no
/// process will ever take it. The caller has ended a zygote that did not answer.
///
/// # Errors
/// That of the zygote, or of its kernel.
pub(crate) fn settle(arena: &Arena, claim: Claim, answer: Answer) -> Result<i32> {
    match answer {
        Ok(Ok(pid)) => Ok(pid),
        Ok(Err(e)) => {
            recover::recover(arena, claim);
            Err(match e.kind() {
                ErrorKind::OutOfMemory | ErrorKind::WouldBlock => {
                    Error::Exhausted("processes".into())
                }
                _ => syscalls::os("fork", e),
            })
        }
        Err(e) => match arena.withdraw(claim, &Patience::deaf())? {
            // It was forked and has begun, so the start did not fail.
            Some(pid) => Ok(pid),
            None => {
                recover::recover(arena, claim);
                Err(e)
            }
        },
    }
}
