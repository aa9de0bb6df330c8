//! The permits that a process has taken of semaphores and not given back.
//!
//! They are kept in the order in which they were first taken, so that a simulation gives them back in
//! the same order each time. A program holds permits of few semaphores at once, which are looked
//! through; one that holds many has an index beside them, so that no call takes longer than another.
//! A semaphore of which it has none any more keeps its line until its handle is closed: it will be
//! taken again.

use crate::semaphore::HostSemaphore;
use std::collections::HashMap;
use std::sync::Arc;

/// Up to so many semaphores are looked through.
const FEW: usize = 16;

/// Something that has permits.
pub(crate) trait Lender {
    /// Takes back what a process had that has ended.
    fn take_back(&self, permits: usize);
}

/// Permits by semaphore.
pub(crate) struct Permits<S = HostSemaphore> {
    held: Vec<(Arc<S>, usize)>,
    /// Where each is in `held`, by address; empty while there are few.
    places: HashMap<usize, usize>,
}

impl<S> Default for Permits<S> {
    fn default() -> Permits<S> {
        Permits { held: Vec::new(), places: HashMap::new() }
    }
}

fn address<S>(semaphore: &Arc<S>) -> usize {
    Arc::as_ptr(semaphore).addr()
}

impl<S: Lender> Permits<S> {
    /// The semaphores that have a line, each of which refers to it.
    pub(crate) fn semaphores(&self) -> impl Iterator<Item = &Arc<S>> {
        self.held.iter().map(|(semaphore, _)| semaphore)
    }

    #[inline]
    fn find(&self, semaphore: &Arc<S>) -> Option<usize> {
        if self.places.is_empty() {
            self.held.iter().position(|(own, _)| Arc::ptr_eq(own, semaphore))
        } else {
            self.places.get(&address(semaphore)).copied()
        }
    }

    /// Notes a permit that the process has to give back.
    #[inline]
    pub(crate) fn took(&mut self, semaphore: &Arc<S>) {
        match self.find(semaphore) {
            Some(at) => self.held[at].1 += 1,
            None => self.add(semaphore),
        }
    }

    fn add(&mut self, semaphore: &Arc<S>) {
        self.held.push((semaphore.clone(), 1));
        if self.held.len() == FEW + 1 {
            let places = self.held.iter().enumerate().map(|(at, (own, _))| (address(own), at));
            self.places = places.collect();
        } else if self.held.len() > FEW {
            self.places.insert(address(semaphore), self.held.len() - 1);
        }
    }

    /// Strikes out a permit, if the process had one; whether it had.
    #[inline]
    pub(crate) fn gave(&mut self, semaphore: &Arc<S>) -> bool {
        let Some(at) = self.find(semaphore) else { return false };
        let had = self.held[at].1 > 0;
        self.held[at].1 -= usize::from(had);
        had
    }

    /// A handle of this one was closed: it needs no line if the process has no permit of it.
    pub(crate) fn closed(&mut self, semaphore: &Arc<S>) {
        if let Some(at) = self.find(semaphore)
            && self.held[at].1 == 0
        {
            self.strike(at);
        }
    }

    fn strike(&mut self, at: usize) {
        let (gone, _) = self.held.swap_remove(at);
        if self.held.len() <= FEW {
            self.places.clear();
        } else {
            self.places.remove(&address(&gone));
            if let Some((moved, _)) = self.held.get(at) {
                self.places.insert(address(moved), at);
            }
        }
    }

    /// Gives all of them back.
    pub(crate) fn give_back(&mut self) {
        self.places.clear();
        for (semaphore, permits) in self.held.drain(..).filter(|(_, permits)| *permits > 0) {
            semaphore.take_back(permits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::runtime::Runtime;
    use crate::tree_limits::TreeLimits;
    use procbox_core::raw::RawSemaphore;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is taken and given, in whatever order, what is left comes back.
        #[test]
        fn what_was_taken_and_not_given_comes_back(
            steps in prop::collection::vec((0..3, 0usize..40), 0..400),
        ) {
            const EACH: usize = 1000;
            let runtime = Runtime::threads(1, Box::new(|| {}));
            let account = Account::of_tree(&TreeLimits::new().memory(1 << 20));
            let new = |_| {
                let charge = account.charge(1).unwrap();
                HostSemaphore::new(runtime.clone(), EACH, charge)
            };
            let semaphores: Vec<_> = (0..40).map(new).collect();
            let mut permits = Permits::default();
            let mut model = [0usize; 40];
            for (step, which) in steps {
                let semaphore = &semaphores[which];
                if step == 0 {
                    permits.closed(semaphore);
                    let has_line = permits.semaphores().any(|own| Arc::ptr_eq(own, semaphore));
                    prop_assert_eq!(has_line, model[which] > 0);
                } else if step == 1 {
                    prop_assert_eq!(semaphore.try_take(), Some(Ok(())));
                    permits.took(semaphore);
                    model[which] += 1;
                } else {
                    let had = model[which] > 0;
                    prop_assert_eq!(permits.gave(semaphore), had);
                    if had {
                        prop_assert_eq!(semaphore.give(1), Ok(()));
                        model[which] -= 1;
                    }
                }
                let held: usize = permits.held.iter().map(|(_, n)| n).sum();
                prop_assert_eq!(held, model.iter().sum::<usize>());
            }
            permits.give_back();
            prop_assert!(semaphores.iter().all(|semaphore| semaphore.available() == EACH));
        }
    }
}
