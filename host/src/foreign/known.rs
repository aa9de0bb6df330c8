//! The primitives of other backends that a sandbox knows: one [`Foreign`] for each.

use super::Foreign;
use super::trace::{Parting, Trace};
use crate::account::Charge;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::wait_list::WaitList;
use procbox_core::raw::{Handle, Life, RawContext};
use procbox_core::{Error, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Weak};

/// The context, and the number of the primitive in it.
pub(super) type Key = (usize, u64);

/// The contexts with which a sandbox has bridges, and what it knows of them.
#[derive(Default)]
pub(crate) struct Known {
    makers: Mutex<Vec<Weak<dyn RawContext>>>,
    primitives: Mutex<HashMap<Key, Weak<Foreign>>>,
    /// What is paid for them, by the number of their life: longer than they are known here.
    traces: Mutex<HashMap<Key, Weak<Trace>>>,
}

fn address(maker: &Weak<dyn RawContext>) -> usize {
    maker.as_ptr().cast::<()>().addr()
}

impl Known {
    /// There is a bridge with this context.
    pub(crate) fn bridge(&self, maker: &Arc<dyn RawContext>) {
        let maker = Arc::downgrade(maker);
        let mut makers = lock(&self.makers);
        makers.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&maker));
        makers.push(maker);
    }

    /// What a handle of another backend stands for.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] if there is no bridge with its context.
    pub(crate) fn take_in(&self, handle: &Handle, runtime: &Arc<Runtime>) -> Result<Arc<Foreign>> {
        let makers = lock(&self.makers);
        let of = |maker: &Weak<dyn RawContext>| {
            let number = maker.upgrade()?.number_of(handle)?;
            Some((maker.clone(), number))
        };
        let found = makers.iter().find_map(of).ok_or(Error::ForeignHandle);
        drop(makers);
        let (maker, number) = found?;
        Ok(self.get(maker, number, handle, runtime, None))
    }

    /// What a process has made there, whose tree pays for it.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] if it is not of that context.
    pub(crate) fn made(
        &self,
        maker: &Arc<dyn RawContext>,
        handle: &Handle,
        runtime: &Arc<Runtime>,
        charge: Charge,
    ) -> Result<Arc<Foreign>> {
        let number = maker.number_of(handle).ok_or(Error::ForeignHandle)?;
        Ok(self.get(Arc::downgrade(maker), number, handle, runtime, Some(charge)))
    }

    fn get(
        &self,
        maker: Weak<dyn RawContext>,
        number: u64,
        handle: &Handle,
        runtime: &Arc<Runtime>,
        charge: Option<Charge>,
    ) -> Arc<Foreign> {
        let key = (address(&maker), number);
        if let Some(foreign) = lock(&self.primitives).get(&key).and_then(Weak::upgrade) {
            return foreign;
        }
        let life = maker.upgrade().and_then(|maker| maker.life_of(handle));
        let new = Arc::new(Foreign {
            handle: handle.clone(),
            maker,
            runtime: runtime.clone(),
            key,
            holder: AtomicU64::new(super::NOBODY),
            changed: WaitList::new(),
            trace: Parting(self.trace(key.0, life, charge)),
        });
        // Another may have come first; then this one is dropped, unlocked, by the end of this.
        match lock(&self.primitives).entry(key) {
            Entry::Occupied(mut known) => known.get().upgrade().unwrap_or_else(|| {
                known.insert(Arc::downgrade(&new));
                new.clone()
            }),
            Entry::Vacant(place) => {
                place.insert(Arc::downgrade(&new));
                new.clone()
            }
        }
    }

    /// What is paid for a primitive of the context at this address: one that has come back has what it had.
    fn trace(
        &self,
        maker: usize,
        life: Option<Box<dyn Life>>,
        charge: Option<Charge>,
    ) -> Arc<Trace> {
        let Some(id) = life.as_ref().map(|life| life.id()) else {
            return Arc::new(Trace::new(None, charge));
        };
        let mut traces = lock(&self.traces);
        let known = traces.get(&(maker, id)).and_then(Weak::upgrade);
        // Another context may have come to the address.
        if let Some(trace) = known.filter(|trace| trace.is_there()) {
            return trace;
        }
        if traces.len() == traces.capacity() {
            traces.retain(|_, trace| trace.strong_count() > 0);
        }
        let trace = Arc::new(Trace::new(life, charge));
        traces.insert((maker, id), Arc::downgrade(&trace));
        trace
    }

    /// One is gone, unless it has come again.
    pub(super) fn forget(&self, key: Key) {
        let mut primitives = lock(&self.primitives);
        if primitives.get(&key).is_some_and(|known| known.strong_count() == 0) {
            primitives.remove(&key);
        }
    }
}
