//! Messages between a parent, its zygote and a new process.
//!
//! The parent tells the zygote the number of a slot of the process table, and passes descriptors
//! along; the zygote answers with a pid. What the process is to do stands in the slot. A zygote of a
//! warm context is told before all that to run a worker itself, and answers with what that came to.

use procbox_core::{Bytes, Identity};
use serde::{Deserialize, Serialize};
use std::os::fd::RawFd;

/// The variable that makes a program a zygote: its socket and its arena.
pub(crate) const ENVIRONMENT: &str = "PROCBOX_ZYGOTE";

/// Message of a zygote that is ready.
pub(crate) const HELLO: i64 = 0;

/// The value of [`ENVIRONMENT`].
pub(crate) fn environment(socket: RawFd, arena: RawFd) -> String {
    format!("{socket},{arena}")
}

/// Socket and arena by the value of [`ENVIRONMENT`].
pub(crate) fn descriptors(environment: &str) -> Option<(RawFd, RawFd)> {
    let (socket, arena) = environment.split_once(',')?;
    let (socket, arena) = (socket.parse().ok()?, arena.parse().ok()?);
    (socket != arena).then_some((socket, arena))
}

/// Start request: what a process is to do. It stands in its slot.
#[derive(Serialize, Deserialize)]
pub(crate) struct StartRequest {
    /// The worker's name.
    pub(crate) worker: String,
    /// True if it serves a pool.
    pub(crate) serves: bool,
    /// Identity of the process; it knows its pid itself.
    pub(crate) identity: Identity,
    /// The encoded arguments.
    pub(crate) arguments: Bytes,
    /// The offsets of the handles in them.
    pub(crate) handles: Vec<u64>,
    /// True if Ctrl-C ends it: its parent does not answer it.
    pub(crate) answers_ctrl_c: bool,
}

/// The worker that a zygote runs before it forks; it stands in the file that is passed along.
#[derive(Serialize, Deserialize)]
pub(crate) struct FirstRequest {
    /// The worker's name.
    pub(crate) worker: String,
    /// The encoded arguments, without handles.
    pub(crate) arguments: Bytes,
}

/// What that worker has left which the processes would not have; the answer is its negative number.
pub(crate) const LEFT: [&str; 3] = ["a thread", "a process that it has started", "a file open"];
/// The places of these.
pub(crate) const THREAD: usize = 0;
pub(crate) const PROCESS: usize = 1;
pub(crate) const FILE: usize = 2;

/// The request for one fork, or for the worker that is run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForkRequest {
    /// It is for that worker; its file is passed along, before all else.
    pub(crate) first: bool,
    /// The slot of the new process.
    pub(crate) slot: u32,
    /// Which reservation of it: one that was taken back is void.
    pub(crate) generation: u64,
    /// A standard input is passed along.
    pub(crate) stdin: bool,
    /// A standard output is passed along, after the input.
    pub(crate) stdout: bool,
}

const STDIN: u32 = 1;
const STDOUT: u32 = 2;
const FIRST: u32 = 4;

impl ForkRequest {
    /// The bytes of it.
    pub(crate) const SIZE: usize = 16;

    pub(crate) fn encode(self) -> [u8; ForkRequest::SIZE] {
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(self.stdin, STDIN) | flag(self.stdout, STDOUT) | flag(self.first, FIRST);
        let request =
            u128::from(self.generation) << 64 | u128::from(flags) << 32 | u128::from(self.slot);
        request.to_ne_bytes()
    }

    pub(crate) fn decode(bytes: [u8; ForkRequest::SIZE]) -> ForkRequest {
        let request = u128::from_ne_bytes(bytes);
        let flags = (request >> 32) as u32;
        ForkRequest {
            first: flags & FIRST != 0,
            slot: request as u32,
            generation: (request >> 64) as u64,
            stdin: flags & STDIN != 0,
            stdout: flags & STDOUT != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for flags in 0..8 {
            let [first, stdin, stdout] = [1, 2, 4].map(|flag| flags & flag != 0);
            let (slot, generation) = (u32::MAX, u64::MAX - 1);
            let request = ForkRequest { first, slot, generation, stdin, stdout };
            assert_eq!(ForkRequest::decode(request.encode()), request);
        }
    }

    #[test]
    fn only_what_procbox_sets_is_two_descriptors() {
        assert_eq!(descriptors(&environment(7, 8)), Some((7, 8)));
        for not in ["", "7", "7,", "7,7", "7,8,9", "a,b"] {
            assert_eq!(descriptors(not), None, "{not}");
        }
    }
}
