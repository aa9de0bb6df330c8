//! Finding what only holds itself: a queue in which its own last handle lies, two queues that hold
//! each other, an end of a pipe that was sent through itself.
//!
//! Such things are never dropped by counting references. A *carrier* is a queue or an end of a pipe
//! in whose messages there were handles of carriers-to-be; whatever lies in a circle is one. Carriers
//! are listed where they were made, so that a program that sends no queues and pipes pays a test of
//! one flag per message. Collecting goes by the references themselves, and asks neither processes nor
//! the embedding program what they hold:
//!
//! 1. each listed carrier is looked at in turn for what is in its messages. Who has more references
//!    than lie there is held from outside; all that can be received from it is in use too;
//! 2. the rest are suspects, for things may have moved meanwhile. All of them are locked at once, and
//!    counted again among themselves. With every lock held nothing can be taken out of a suspect, so
//!    one whose references all lie in suspects can be reached by nobody any more, and will not be.
//!    What they hold is dropped.
//!
//! A carrier is in one list only, and nobody else holds two channels' locks, so that the many locks
//! of step 2 meet nobody who waits for another.

use crate::discard::discard;
use crate::sync::lock;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// A thing that messages may hold and that holds messages.
pub(crate) trait Carrier: Send + Sync {
    /// The messages that can be received from it, locked.
    fn cargo(&self) -> Box<dyn Cargo + '_>;

    /// Its messages were taken away: whoever might wait for it is told.
    fn emptied(&self);
}

/// The messages of a carrier, while they are locked.
pub(crate) trait Cargo {
    /// True if there is a carrier in them. If not, it counts as not listed from now on.
    fn is_listed(&mut self) -> bool;

    /// The addresses of the carriers in them, each as often as it is there.
    fn held(&self) -> Vec<usize>;

    /// How often a message with carriers in it came or went.
    fn moves(&self) -> u64;

    /// Closes it, and takes the messages out.
    fn take(&mut self) -> Box<dyn Send>;
}

/// The address by which a carrier is known.
pub(crate) fn address<T: ?Sized>(carrier: &Arc<T>) -> usize {
    Arc::as_ptr(carrier).cast::<()>().addr()
}

/// Lists of fewer are not collected before their tree ends.
const FEW: usize = 64;

/// Those carriers of one tree that hold carriers, or did so.
pub(crate) struct Carriers {
    list: Mutex<List>,
    /// The length of the list at which it is collected.
    due: AtomicUsize,
    /// Held by who collects.
    collecting: Mutex<()>,
}

struct List {
    those: Vec<Weak<dyn Carrier>>,
    /// Its tree has ended: what comes now is listed with what all ended trees left.
    closed: bool,
}

/// Carriers whose trees have ended while somebody held them, and those of embedding programs.
pub(crate) static OTHERS: Carriers = Carriers::new();

impl Carriers {
    pub(crate) const fn new() -> Carriers {
        Carriers::that_is(false)
    }

    /// Those of no tree: what comes is listed with what ended trees left.
    pub(crate) const fn closed() -> Carriers {
        Carriers::that_is(true)
    }

    const fn that_is(closed: bool) -> Carriers {
        Carriers {
            list: Mutex::new(List { those: Vec::new(), closed }),
            due: AtomicUsize::new(FEW),
            collecting: Mutex::new(()),
        }
    }

    /// Lists a carrier; when there are many more than there were, those that are of no use are freed.
    pub(crate) fn enter(&self, carrier: Weak<dyn Carrier>) {
        let mut list = lock(&self.list);
        if list.closed {
            drop(list);
            return OTHERS.enter(carrier);
        }
        list.those.push(carrier);
        let length = list.those.len();
        drop(list);
        if length >= self.due.load(Ordering::Relaxed) {
            self.try_collect();
        }
    }

    /// Collects, unless another thread does so or there is nothing to look at; whether it did.
    pub(crate) fn try_collect(&self) -> bool {
        if lock(&self.list).those.is_empty() {
            return false;
        }
        match self.collecting.try_lock() {
            Ok(_collecting) => {
                self.collect_alone();
                true
            }
            Err(_) => false,
        }
    }

    /// Frees those that nobody can reach.
    pub(crate) fn collect(&self) {
        let _collecting = lock(&self.collecting);
        self.collect_alone();
    }

    /// The tree has ended: collects, and leaves what is in use to `OTHERS`.
    pub(crate) fn close(&self) {
        {
            let _collecting = lock(&self.collecting);
            self.collect_alone();
            let mut list = lock(&self.list);
            list.closed = true;
            let rest = std::mem::take(&mut list.those);
            drop(list);
            rest.into_iter().for_each(|carrier| OTHERS.enter(carrier));
        }
        // With few of them that is at each end of a tree, with many it is when they have doubled.
        let length = lock(&OTHERS.list).those.len();
        if length > OTHERS.due.load(Ordering::Relaxed) / 2 || length <= FEW {
            OTHERS.try_collect();
        }
    }

    fn collect_alone(&self) {
        let those = std::mem::take(&mut lock(&self.list).those);
        if those.is_empty() {
            return;
        }
        let (carriers, taken) = free(those.iter().filter_map(Weak::upgrade).collect());
        let mut list = lock(&self.list);
        list.those.extend(carriers.iter().map(Arc::downgrade));
        let length = list.those.len();
        drop(list);
        self.due.store(FEW.max(length * 2), Ordering::Relaxed);
        discard((taken, carriers));
    }
}

/// Carriers that stay listed, and what was in the others.
type Freed = (Vec<Arc<dyn Carrier>>, Vec<Box<dyn Send>>);

/// Empties those that nobody can reach.
fn free(carriers: Vec<Arc<dyn Carrier>>) -> Freed {
    let mut listed = Vec::with_capacity(carriers.len());
    let mut held = Vec::with_capacity(carriers.len());
    for carrier in carriers {
        let holds = {
            let mut cargo = carrier.cargo();
            cargo.is_listed().then(|| cargo.held())
        };
        if let Some(holds) = holds {
            held.push(holds);
            listed.push(carrier);
        }
    }
    let suspects = unreachable(&listed, &held);
    if suspects.is_empty() {
        return (listed, Vec::new());
    }
    let mut taken = Vec::new();
    {
        let suspects: Vec<_> = suspects.iter().map(|&at| &listed[at]).collect();
        let mut cargos: Vec<_> = suspects.iter().map(|suspect| suspect.cargo()).collect();
        let held: Vec<_> = cargos.iter().map(|cargo| cargo.held()).collect();
        let garbage = unreachable(&suspects, &held);
        taken.extend(garbage.iter().map(|&at| cargos[at].take()));
        drop(cargos);
        garbage.iter().for_each(|&at| suspects[at].emptied());
    }
    (listed, taken)
}

/// The indices of those to which no way leads from outside, where `held` says what is in each, and
/// the caller has one reference to each.
fn unreachable<C: Borrow<Arc<dyn Carrier>>>(carriers: &[C], held: &[Vec<usize>]) -> Vec<usize> {
    let index: HashMap<usize, usize> =
        carriers.iter().enumerate().map(|(at, carrier)| (address(carrier.borrow()), at)).collect();
    let mut inside = vec![0; carriers.len()];
    for at in held.iter().flatten().filter_map(|address| index.get(address)) {
        inside[*at] += 1;
    }
    let outside = |at: &usize| Arc::strong_count(carriers[*at].borrow()) > inside[*at] + 1;
    let mut ways: Vec<usize> = (0..carriers.len()).filter(outside).collect();
    let mut reached = vec![false; carriers.len()];
    ways.iter().for_each(|&at| reached[at] = true);
    while let Some(from) = ways.pop() {
        for &at in held[from].iter().filter_map(|address| index.get(address)) {
            if !reached[at] {
                reached[at] = true;
                ways.push(at);
            }
        }
    }
    (0..carriers.len()).filter(|at| !reached[*at]).collect()
}

#[cfg(test)]
mod tests {
    use crate::account::Account;
    use crate::channel::Channel;
    use crate::message::Body;
    use crate::object::{Object, Stored};
    use crate::pipe::PipeEnd;
    use crate::queue;
    use crate::runtime::Runtime;
    use crate::tree_limits::TreeLimits;
    use procbox_core::Error;
    use procbox_core::raw::Bounds;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Weak};

    type Queue = Channel<Stored>;

    struct Tree {
        runtime: Arc<Runtime>,
        account: Arc<Account>,
    }

    impl Tree {
        fn new() -> Tree {
            Tree {
                runtime: Runtime::threads(1, Box::new(|| {})),
                account: Account::of_tree(&TreeLimits::new().memory(1 << 40)),
            }
        }

        fn queue(&self) -> Arc<Queue> {
            queue::new(self.runtime.clone(), self.account.clone(), Bounds::DEFAULT).unwrap()
        }

        fn pipe(&self) -> (Arc<PipeEnd>, Arc<PipeEnd>) {
            PipeEnd::pair(&self.runtime, &self.account, true).unwrap()
        }
    }

    fn put(into: &Queue, object: Object) {
        let message = Stored { body: Body::default(), objects: vec![object] };
        assert_eq!(into.try_put(&mut Some(message)), Some(Ok(())));
    }

    fn lives<T>(weak: &Weak<T>) -> bool {
        weak.strong_count() > 0
    }

    #[test]
    fn a_queue_that_holds_itself_goes_with_its_last_handle() {
        let tree = Tree::new();
        let own = tree.queue();
        put(&own, Object::Queue(own.clone()));
        put(&own, Object::Queue(own.clone()));
        tree.account.carriers.collect();
        assert_eq!(own.len(), 2);
        let weak = Arc::downgrade(&own);
        drop(own);
        assert!(lives(&weak));
        tree.account.carriers.collect();
        assert!(!lives(&weak));
    }

    #[test]
    fn circles_of_queues_and_pipes_go_and_what_hangs_on_them() {
        let tree = Tree::new();
        let (first, second, leaf) = (tree.queue(), tree.queue(), tree.queue());
        let (receiver, sender) = tree.pipe();
        put(&first, Object::Queue(second.clone()));
        put(&second, Object::Pipe(receiver.clone()));
        put(&second, Object::Queue(leaf.clone()));
        put(sender.outgoing().unwrap(), Object::Queue(first.clone()));
        let weak = (Arc::downgrade(&first), Arc::downgrade(&receiver), Arc::downgrade(&leaf));
        drop((second, receiver, leaf));
        tree.account.carriers.collect();
        assert!(lives(&weak.0) && lives(&weak.1) && lives(&weak.2));
        drop(first);
        tree.account.carriers.collect();
        assert!(!lives(&weak.0) && !lives(&weak.1) && !lives(&weak.2));
        // Who has the other end is told.
        let put = sender.outgoing().unwrap().try_put(&mut Some(Stored::default()));
        assert_eq!(put, Some(Err(Error::Closed)));
    }

    #[test]
    fn an_end_of_a_pipe_in_its_own_messages_goes() {
        let tree = Tree::new();
        let (receiver, sender) = tree.pipe();
        put(sender.outgoing().unwrap(), Object::Pipe(receiver.clone()));
        let weak = Arc::downgrade(&receiver);
        drop(receiver);
        assert!(lives(&weak));
        tree.account.carriers.collect();
        assert!(!lives(&weak));
    }

    #[test]
    fn what_can_still_be_received_stays() {
        let tree = Tree::new();
        let (held, inner) = (tree.queue(), tree.queue());
        put(&inner, Object::Queue(inner.clone()));
        put(&held, Object::Queue(inner.clone()));
        let weak = Arc::downgrade(&inner);
        drop(inner);
        tree.account.carriers.collect();
        assert!(lives(&weak));
        // The tree ends, and somebody outside has the outer queue.
        drop(tree.account.enter(0));
        assert!(lives(&weak));
        drop(held.try_take());
        drop(held);
        super::OTHERS.collect();
        assert!(!lives(&weak));
    }

    #[test]
    fn a_tree_that_makes_circles_all_the_time_keeps_few() {
        let tree = Tree::new();
        let made: Vec<_> = (0..10_000)
            .map(|_| {
                let own = tree.queue();
                put(&own, Object::Queue(own.clone()));
                Arc::downgrade(&own)
            })
            .collect();
        let left = made.iter().filter(|weak| lives(weak)).count();
        assert!(left <= 2 * super::FEW, "{left}");
    }

    /// Two threads hand queues to each other, whose only references travel all the time, while a
    /// third collects.
    #[test]
    fn nothing_that_is_in_use_is_freed_while_it_moves() {
        let tree = Tree::new();
        let ways = [tree.queue(), tree.queue()];
        for way in &ways {
            for _ in 0..4 {
                let travelling = tree.queue();
                put(&travelling, Object::Queue(tree.queue()));
                put(way, Object::Queue(travelling));
            }
        }
        let stop = AtomicBool::new(false);
        let wander = |from: &Queue, to: &Queue| {
            let mut before: Option<Arc<Queue>> = None;
            for _ in 0..20_000 {
                let Some(Ok(mut message)) = from.try_take() else { continue };
                let Some(Object::Queue(queue)) = message.take_objects().pop() else { panic!() };
                // It is whole: what was in it still is, or what this thread put there.
                let inside = queue.try_take();
                assert!(matches!(inside, Some(Ok(_))), "it was emptied");
                let Some(Ok(mut inside)) = inside else { return };
                let Some(Object::Queue(inner)) = inside.take_objects().pop() else { panic!() };
                put(&queue, Object::Queue(inner));
                if let Some(before) = before.replace(queue) {
                    put(to, Object::Queue(before));
                }
            }
            before.into_iter().for_each(|last| put(to, Object::Queue(last)));
        };
        std::thread::scope(|scope| {
            let there = scope.spawn(|| wander(&ways[0], &ways[1]));
            let back = scope.spawn(|| wander(&ways[1], &ways[0]));
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    tree.account.carriers.collect();
                }
            });
            let ended = [there.join(), back.join()];
            stop.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
        });
        assert_eq!(ways[0].len() + ways[1].len(), 8);
    }
}
