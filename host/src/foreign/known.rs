//! The primitives of other backends that a sandbox knows: one [`Foreign`] for each.

use super::Foreign;
use super::sent::Sent;
use crate::account::Charge;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::wait_list::WaitList;
use procbox_core::raw::{Handle, RawContext};
use procbox_core::{Error, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, Weak};

/// The context, and the number of the primitive in it.
pub(super) type Key = (usize, u64);

/// The contexts with which a sandbox has bridges, and what it knows of them.
#[derive(Default)]
pub(crate) struct Known {
    makers: Mutex<Vec<Weak<dyn RawContext>>>,
    primitives: Mutex<HashMap<Key, Weak<Foreign>>>,
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
        let new = || {
            Arc::new(Foreign {
                handle: handle.clone(),
                maker: maker.clone(),
                runtime: runtime.clone(),
                key,
                holder: AtomicU64::new(super::NOBODY),
                is_own: AtomicBool::new(charge.is_some()),
                sent: Sent::default(),
                changed: WaitList::new(),
                _charge: charge,
            })
        };
        match lock(&self.primitives).entry(key) {
            Entry::Occupied(mut known) => match known.get().upgrade() {
                Some(foreign) => foreign,
                None => {
                    let foreign = new();
                    known.insert(Arc::downgrade(&foreign));
                    foreign
                }
            },
            Entry::Vacant(place) => {
                let foreign = new();
                place.insert(Arc::downgrade(&foreign));
                foreign
            }
        }
    }

    /// One is gone, unless it has come again.
    pub(super) fn forget(&self, key: Key) {
        let mut primitives = lock(&self.primitives);
        if primitives.get(&key).is_some_and(|known| known.strong_count() == 0) {
            primitives.remove(&key);
        }
    }
}
