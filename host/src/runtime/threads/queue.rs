//! The run queue: which of the tasks that can go on does so next.
//!
//! It has four levels:
//!
//! 1. tasks of processes that are to end come first: ending takes little time, and gives much back;
//! 2. contexts take turns by what they have used of their shares (see `ring`);
//! 3. in a context, its trees do;
//! 4. in a tree, first in, first out.
//!
//! A task that is alone is kept beside all that: processes that hand each other messages, or that
//! are started one after the other, pay for no turns.

use super::super::ring::Ring;
use super::super::scheduler::Runnable;
use super::super::share::{Seat, Share};
use crate::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};
use std::collections::VecDeque;
use std::sync::Arc;

/// The tasks that can go on.
#[derive(Default)]
pub(super) struct Queue {
    /// How many there are, for those who only look.
    len: AtomicUsize,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    /// Of processes that are to end.
    doomed: VecDeque<Runnable>,
    /// The only one that is in no lane, if there was none in any when it came.
    lone: Option<Runnable>,
    /// The shares of contexts with tasks; each has a ring of its trees with tasks, whose lanes have
    /// the tasks.
    contexts: Ring,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        // SeqCst: see `pacer::rest`.
        self.len.load(Ordering::SeqCst)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&self, task: Runnable) {
        let mut tasks = lock(&self.tasks);
        tasks.push(task);
        self.count(|len| len + 1);
    }

    pub(super) fn pop(&self) -> Option<Runnable> {
        let mut tasks = lock(&self.tasks);
        let task = tasks.pop()?;
        self.count(|len| len.saturating_sub(1));
        Some(task)
    }

    /// Puts a process's task, if it is here, before those of processes that are not to end, and each
    /// time that it comes here from now on.
    pub(super) fn hasten(&self, seat: &Seat) {
        let mut tasks = lock(&self.tasks);
        seat.doom();
        let Some(place) = seat.leave() else { return };
        let task = match place {
            Seat::ALONE => tasks.lone.take(),
            place => seat.share.members().lane.take(place),
        };
        tasks.doomed.extend(task);
    }

    /// Whether the next task should not have to wait until a guest gives its thread back by itself:
    /// its process is to end, or its context or tree has used less than those that ran lately.
    pub(super) fn is_urgent(&self) -> bool {
        !self.is_empty() && lock(&self.tasks).is_urgent()
    }

    /// Changes the count. To be called with the lock held.
    fn count(&self, change: impl Fn(usize) -> usize) {
        self.len.store(change(self.len.load(Ordering::Relaxed)), Ordering::SeqCst);
    }
}

impl Tasks {
    fn push(&mut self, task: Runnable) {
        if task.metadata().is_doomed() {
            self.doomed.push_back(task);
            return;
        }
        if self.contexts.is_empty() {
            let Some(first) = self.lone.take() else {
                task.metadata().put(Seat::ALONE);
                self.lone = Some(task);
                return;
            };
            // There are two now: they take turns.
            self.take_turns(first);
        }
        self.take_turns(task);
    }

    /// Puts it into its tree's lane, and the tree and its context among those that take turns.
    fn take_turns(&mut self, task: Runnable) {
        let tree = task.metadata().share.clone();
        let mut members = tree.members();
        members.lane.push(task);
        if std::mem::replace(&mut members.has_turn, true) {
            return;
        }
        drop(members);
        let Some(context) = tree.parent().cloned() else { return self.contexts.enter(tree) };
        let mut members = context.members();
        members.ring.enter(tree);
        if !std::mem::replace(&mut members.has_turn, true) {
            drop(members);
            self.contexts.enter(context);
        }
    }

    fn pop(&mut self) -> Option<Runnable> {
        if let Some(task) = self.doomed.pop_front() {
            return Some(task);
        }
        if let Some(task) = self.lone.take() {
            task.metadata().leave();
            let tree = &task.metadata().share;
            match tree.parent() {
                None => self.contexts.ran(tree),
                Some(context) => {
                    context.members().ring.ran(tree);
                    self.contexts.ran(context);
                }
            }
            return Some(task);
        }
        // A lane whose tasks were hastened away is empty: the next one then.
        loop {
            let context = self.contexts.first()?.clone();
            let (task, more) = next_of(&context);
            self.contexts.had_turn(more);
            if task.is_some() {
                return task;
            }
        }
    }

    fn is_urgent(&mut self) -> bool {
        if !self.doomed.is_empty() {
            return true;
        }
        if let Some(task) = &self.lone {
            let tree = &task.metadata().share;
            let context = tree.parent().unwrap_or(tree);
            return self.contexts.would_be_behind(context)
                || context.members().ring.would_be_behind(tree);
        }
        self.contexts.is_behind()
            || self.contexts.first().is_some_and(|share| share.members().ring.is_behind())
    }
}

/// The next task of a share, and whether there may be more.
fn next_of(share: &Arc<Share>) -> (Option<Runnable>, bool) {
    let mut members = share.members();
    let task = match members.ring.first().cloned() {
        None => members.lane.pop(),
        Some(child) => {
            let (task, more) = next_of(&child);
            members.ring.had_turn(more);
            task
        }
    };
    members.has_turn = !members.lane.is_empty() || !members.ring.is_empty();
    (task, members.has_turn)
}

#[cfg(all(test, not(loom)))]
mod tests;
