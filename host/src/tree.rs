//! A tree of processes: one that the embedding program has started, and all that come of it.

use crate::account::Account;
use crate::connection::Names;
use crate::runtime::Share;
use std::sync::Arc;

/// What the processes of a tree have in common. The embedding program's start makes one; a child is
/// of its parent's.
pub(crate) struct Tree {
    /// What it holds of the host.
    pub(crate) account: Arc<Account>,
    /// Its share of the CPUs.
    pub(crate) share: Arc<Share>,
    /// Whom its processes can reach by name.
    pub(crate) names: Arc<Names>,
}

impl Tree {
    /// One with this share of the CPUs, whose processes meet those of these names and have so many
    /// bytes of the host together.
    pub(crate) fn new(share: Arc<Share>, names: Arc<Names>, memory: usize) -> Arc<Tree> {
        Arc::new(Tree { account: Account::of_tree(memory), share, names })
    }
}
