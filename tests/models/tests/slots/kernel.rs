//! The processes as the kernel knows them: who is whose child, and who has ended; and the socket between
//! a parent and its zygote.

use crate::arena::slots::Claim;
use crate::sync::robust;
use procbox_models::explore::{self, mix};
use std::cell::RefCell;

/// The parent of those whose own has ended.
const INIT: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Lives,
    /// It has ended, and was not reaped.
    Zombie,
    Gone,
}

struct Process {
    pid: u32,
    parent: u32,
    state: State,
}

/// A socket: what was sent, and not received.
#[derive(Default)]
pub(crate) struct Socket {
    pub(crate) request: Option<Claim>,
    pub(crate) answer: Option<i32>,
}

#[derive(Default)]
struct Kernel {
    processes: Vec<Process>,
    socket: Socket,
}

thread_local! {
    static KERNEL: RefCell<Kernel> = RefCell::default();
}

/// No process and no message.
pub(crate) fn clear() {
    KERNEL.take();
}

/// A new process; its pid.
pub(crate) fn fork(parent: u32) -> u32 {
    KERNEL.with_borrow_mut(|kernel| {
        let pid = 10 + kernel.processes.len() as u32;
        kernel.processes.push(Process { pid, parent, state: State::Lives });
        pid
    })
}

/// A process has ended, by itself or by a kill.
pub(crate) fn ended(pid: u32) {
    robust::process_ended(pid);
    KERNEL.with_borrow_mut(|kernel| {
        for process in &mut kernel.processes {
            if process.pid == pid && process.state == State::Lives {
                process.state = State::Zombie;
            }
            if process.parent == pid {
                process.parent = INIT;
            }
            if process.parent == INIT && process.state == State::Zombie {
                process.state = State::Gone;
            }
        }
    });
}

/// Ends a process.
pub(crate) fn kill(pid: u32) {
    explore::end(pid);
    ended(pid);
}

fn of<R>(pid: u32, ask: impl FnOnce(&mut Process) -> R) -> R {
    KERNEL.with_borrow_mut(|kernel| {
        let process = kernel.processes.iter_mut().find(|process| process.pid == pid);
        ask(process.expect("a pid that was given"))
    })
}

pub(crate) fn has_ended(pid: u32) -> bool {
    of(pid, |process| process.state != State::Lives)
}

pub(crate) fn parent(pid: u32) -> u32 {
    of(pid, |process| process.parent)
}

/// Takes a zombie away.
pub(crate) fn reap(pid: u32) {
    of(pid, |process| process.state = State::Gone);
}

pub(crate) fn socket<R>(work: impl FnOnce(&mut Socket) -> R) -> R {
    KERNEL.with_borrow_mut(|kernel| work(&mut kernel.socket))
}

pub(crate) fn digest() -> u64 {
    KERNEL.with_borrow(|kernel| {
        let request = kernel.socket.request.map_or(0, |claim| claim.generation << 32 | 1);
        let socket = mix(request, kernel.socket.answer.unwrap_or(0) as u64);
        kernel.processes.iter().fold(socket, |digest, process| {
            mix(digest, u64::from(process.parent) << 8 | process.state as u64)
        })
    })
}
