//! What a sandboxed process's handles stand for, and the table that holds them.

use crate::connection::HostListener;
use crate::event::HostEvent;
use crate::lock::HostLock;
use crate::pipe::PipeEnd;
use crate::process::HostProcess;
use crate::queue::HostQueue;
use crate::runtime::Runtime;
use crate::semaphore::HostSemaphore;
use procbox_core::{Error, Handle, Result};
use std::any::Any;
use std::sync::Arc;

/// A primitive of this sandbox, or a process that was started by the holder.
#[derive(Clone)]
pub(crate) enum Object {
    Lock(Arc<HostLock>),
    Semaphore(Arc<HostSemaphore>),
    Event(Arc<HostEvent>),
    Queue(Arc<HostQueue>),
    Pipe(Arc<PipeEnd>),
    /// Stays with the process that made it.
    Listener(Arc<HostListener>),
    /// Stays with the process that started it.
    Process(Arc<HostProcess>),
}

impl Object {
    /// Takes in handles of the embedding program.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] if one is not of the sandbox that `runtime` runs.
    pub(crate) fn from_handles(handles: &[Handle], runtime: &Arc<Runtime>) -> Result<Vec<Object>> {
        handles.iter().map(|handle| Object::from_handle(handle, runtime)).collect()
    }

    fn from_handle(handle: &Handle, runtime: &Arc<Runtime>) -> Result<Object> {
        macro_rules! own {
            ($variant:ident, $raw:expr, $type:ty) => {{
                let any: Arc<dyn Any + Send + Sync> = $raw.clone();
                let own = any.downcast::<$type>().map_err(|_| Error::ForeignHandle)?;
                if !Arc::ptr_eq(&own.runtime, runtime) {
                    return Err(Error::ForeignHandle);
                }
                Ok(Object::$variant(own))
            }};
        }
        match handle {
            Handle::Lock(raw) => own!(Lock, raw, HostLock),
            Handle::Semaphore(raw) => own!(Semaphore, raw, HostSemaphore),
            Handle::Event(raw) => own!(Event, raw, HostEvent),
            Handle::Queue(raw) => own!(Queue, raw, HostQueue),
            Handle::Pipe(raw) => own!(Pipe, raw, PipeEnd),
            _ => Err(Error::ForeignHandle),
        }
    }

    /// Gives handles out to the embedding program. Processes and listeners do not travel.
    pub(crate) fn into_handles(objects: Vec<Object>) -> Vec<Handle> {
        objects.into_iter().filter_map(Object::into_handle).collect()
    }

    fn into_handle(self) -> Option<Handle> {
        match self {
            Object::Lock(own) => Some(Handle::Lock(own)),
            Object::Semaphore(own) => Some(Handle::Semaphore(own)),
            Object::Event(own) => Some(Handle::Event(own)),
            Object::Queue(own) => Some(Handle::Queue(own)),
            Object::Pipe(own) => Some(Handle::Pipe(own)),
            Object::Listener(_) | Object::Process(_) => None,
        }
    }

    /// The number by which the ABI tells a guest what a received handle is.
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Object::Lock(_) => 1,
            Object::Semaphore(_) => 2,
            Object::Event(_) => 3,
            Object::Queue(_) => 4,
            Object::Pipe(_) => 5,
            Object::Process(_) => 6,
            Object::Listener(_) => 7,
        }
    }
}

/// A process's handles: small positive numbers that mean nothing to any other process.
#[derive(Default)]
pub(crate) struct Table {
    /// Handle `n` is at index `n - 1`.
    slots: Vec<Option<Object>>,
    free: Vec<u32>,
    most: u32,
}

impl Table {
    pub(crate) fn new(most: u32) -> Table {
        Table { slots: Vec::new(), free: Vec::new(), most }
    }

    /// A handle for an object.
    ///
    /// # Errors
    /// [`Error::Exhausted`] at the limit.
    pub(crate) fn insert(&mut self, object: Object) -> Result<i32> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < self.most as usize => {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            }
            None => return Err(Error::Exhausted("handles".into())),
        };
        self.slots[index as usize] = Some(object);
        Ok(index as i32 + 1)
    }

    pub(crate) fn get(&self, handle: i32) -> Option<&Object> {
        let index = usize::try_from(handle).ok()?.checked_sub(1)?;
        self.slots.get(index)?.as_ref()
    }

    pub(crate) fn remove(&mut self, handle: i32) -> Option<Object> {
        let index = usize::try_from(handle).ok()?.checked_sub(1)?;
        let object = self.slots.get_mut(index)?.take()?;
        self.free.push(index as u32);
        Some(object)
    }

    /// Whether so many more fit.
    pub(crate) fn has_room(&self, n: usize) -> bool {
        self.free.len() + (self.most as usize - self.slots.len()) >= n
    }
}

impl Table {
    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Object> + use<> {
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Any sequence of opening, closing and asking, with numbers that were never given too.
        #[test]
        fn a_table_is_a_map_of_numbers(
            steps in prop::collection::vec((any::<bool>(), -2i32..12), 0..60),
        ) {
            const MOST: u32 = 6;
            let runtime = Runtime::threads(1, Box::new(|| {}));
            let mut table = Table::new(MOST);
            let mut model: HashMap<i32, Arc<HostEvent>> = HashMap::new();
            for (opens, number) in steps {
                if opens {
                    let event = Arc::new(HostEvent::new(runtime.clone()));
                    match table.insert(Object::Event(event.clone())) {
                        Ok(new) => {
                            prop_assert!(new > 0 && model.insert(new, event).is_none());
                        }
                        Err(_) => prop_assert_eq!(model.len(), MOST as usize),
                    }
                } else {
                    let removed = table.remove(number).is_some();
                    prop_assert_eq!(removed, model.remove(&number).is_some());
                }
                for number in -2..12 {
                    let same = match (table.get(number), model.get(&number)) {
                        (Some(Object::Event(a)), Some(b)) => Arc::ptr_eq(a, b),
                        (None, None) => true,
                        _ => false,
                    };
                    prop_assert!(same, "{} is another", number);
                }
                prop_assert!(table.has_room(MOST as usize - model.len()));
                prop_assert!(!table.has_room(MOST as usize - model.len() + 1));
            }
            prop_assert_eq!(table.drain().count(), model.len());
        }
    }
}
