//! What a tree pays for in another backend, though no process here may have it any more.

use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A thing of another backend's, for which trees pay as long as it, or messages of theirs in it, are there:
/// it goes, and they are received, unnoticed.
pub(crate) trait Abroad: Send + Sync {
    /// Looks what is there still, and gives back what is not; whether there is anything.
    fn settle(&self) -> bool;
}

/// So many things are not looked at before something is needed.
const FEW: usize = 64;

/// What a tree pays for: each is kept until there is nothing left of it to pay for, or the tree has ended.
/// They are looked at when the tree is out of something, and when they are twice as many as at the last look.
pub(crate) struct PaidFor(Mutex<Option<Places>>);

struct Places {
    /// By address.
    known: HashMap<usize, Arc<dyn Abroad>>,
    /// They are looked at when there are more.
    most: usize,
}

impl Default for PaidFor {
    fn default() -> PaidFor {
        PaidFor(Mutex::new(Some(Places { known: HashMap::new(), most: FEW })))
    }
}

impl PaidFor {
    /// Keeps one more, unless the tree has ended.
    pub(crate) fn keep(&self, it: Arc<dyn Abroad>) {
        let is_many = {
            let mut places = lock(&self.0);
            let Some(places) = places.as_mut() else { return };
            places.known.insert(Arc::as_ptr(&it).cast::<()>().addr(), it);
            places.known.len() > places.most
        };
        if is_many {
            self.settle();
        }
    }

    /// Looks what is left.
    pub(crate) fn settle(&self) {
        // Unlocked: what is looked at may be dropped by this.
        let known = lock(&self.0).as_mut().map(|places| std::mem::take(&mut places.known));
        for (address, it) in known.into_iter().flatten() {
            if it.settle()
                && let Some(places) = lock(&self.0).as_mut()
            {
                places.known.insert(address, it);
            }
        }
        if let Some(places) = lock(&self.0).as_mut() {
            places.most = FEW.max(2 * places.known.len());
        }
    }

    /// The tree has ended: nobody pays for what it has left behind.
    pub(crate) fn end(&self) {
        // Dropped unlocked, by the end of this.
        let _left = lock(&self.0).take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    struct Thing(AtomicBool);

    impl Abroad for Thing {
        fn settle(&self) -> bool {
            !self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_has_gone_is_not_kept_and_there_are_never_many_of_those() {
        let paid = PaidFor::default();
        let there: Vec<Arc<Thing>> = (0..FEW).map(|_| Arc::default()).collect();
        there.iter().for_each(|thing| paid.keep(thing.clone()));
        for _ in 0..100 * FEW {
            paid.keep(Arc::new(Thing(AtomicBool::new(true))));
            let kept = lock(&paid.0).as_ref().map_or(0, |places| places.known.len());
            assert!(kept <= 2 * FEW, "{kept}");
        }
        there.iter().for_each(|thing| thing.0.store(true, Ordering::Relaxed));
        paid.settle();
        assert!(there.iter().all(|thing| Arc::strong_count(thing) == 1));
        let last = Arc::new(Thing::default());
        paid.keep(last.clone());
        paid.end();
        paid.keep(last.clone());
        assert_eq!(Arc::strong_count(&last), 1);
    }
}
