//! The tasks of one tree that can go on: first in, first out, and any of them can be taken out.

use super::scheduler::Runnable;
use std::collections::VecDeque;

/// A queue of tasks. Each has a place in it, a number that is never used again.
#[derive(Default)]
pub(super) struct Lane {
    /// `None` where one was taken out. Neither end is: so an empty lane is an empty deque.
    tasks: VecDeque<Option<Runnable>>,
    /// The place of the first.
    first: u64,
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Adds one behind the others.
    pub(super) fn push(&mut self, task: Runnable) {
        task.metadata().put(self.first.wrapping_add(self.tasks.len() as u64));
        self.tasks.push_back(Some(task));
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self) -> Option<Runnable> {
        let task = self.pop_place()?;
        self.trim();
        if let Some(task) = &task {
            task.metadata().leave();
        }
        task
    }

    /// Takes out the one at a place.
    pub(super) fn take(&mut self, place: u64) -> Option<Runnable> {
        let at = usize::try_from(place.wrapping_sub(self.first)).ok()?;
        let task = self.tasks.get_mut(at)?.take();
        self.trim();
        task
    }

    fn pop_place(&mut self) -> Option<Option<Runnable>> {
        let task = self.tasks.pop_front()?;
        self.first = self.first.wrapping_add(1);
        Some(task)
    }

    /// Forgets the gaps at both ends.
    fn trim(&mut self) {
        while let Some(None) = self.tasks.front() {
            self.pop_place();
        }
        while let Some(None) = self.tasks.back() {
            self.tasks.pop_back();
        }
    }
}
