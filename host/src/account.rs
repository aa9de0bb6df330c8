//! The account of a tree: what all the processes have in common that one start by the embedding
//! program began.

use crate::cycles::Carriers;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The account of one tree. Whatever is made for one of its processes refers to it.
pub(crate) struct Account {
    /// Carriers that its processes made.
    pub(crate) carriers: Carriers,
    /// Processes that live.
    alive: AtomicUsize,
}

impl Account {
    /// One for a new tree.
    pub(crate) fn of_tree() -> Arc<Account> {
        Arc::new(Account { carriers: Carriers::new(), alive: AtomicUsize::new(0) })
    }

    /// The one of what the embedding program makes itself.
    pub(crate) fn of_embedder() -> Arc<Account> {
        let account = Account::of_tree();
        account.carriers.close();
        account
    }

    /// One more process lives.
    pub(crate) fn enter(self: &Arc<Account>) -> Member {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Member(self.clone())
    }
}

/// A process's part in its tree: it has it for as long as its store is there.
pub(crate) struct Member(Arc<Account>);

impl Drop for Member {
    /// What no process and nobody else holds goes with the last one.
    fn drop(&mut self) {
        if self.0.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.carriers.close();
        }
    }
}
