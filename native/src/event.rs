//! The event: one word, a flag and the number of times that it was set.
//!
//! The number lets a waiter that is woken late see that the flag was set since it came, even if it
//! has been cleared again.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs};
use crate::arena::layout::{BODY, Hold, Tag};
use crate::arena::waits::{Awaits, Patient};
use crate::sync::futex;
use crate::sync::patience::Patience;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::{Handle, RawEvent};
use procbox_core::time::SystemClock;
use procbox_core::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const SET: u32 = 1;
/// Above the flag: how often it was set.
const TIMES: u32 = 2;

/// An event, by handle.
pub(crate) struct NativeEvent(Arc<Held>);

/// Kind of events, as the arena sees it.
pub(crate) struct EventKind;

impl Kind for EventKind {
    fn tag(&self) -> Tag {
        Tag::number(3)
    }

    fn size(&self) -> u64 {
        BODY + size_of::<AtomicU32>() as u64
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Event(Arc::new(NativeEvent(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Event(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|event: &NativeEvent| &event.0)
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        let now = arena.body::<AtomicU32>(awaits.object).load(Ordering::SeqCst);
        if is_due(now, awaits.detail as u32) { Needs::Nothing } else { Needs::Referrers }
    }

    fn recover(&self, arena: &Arena, object: u64, _: &Hold, _: &Patience) -> Result<()> {
        futex::wake_all(arena.body(object));
        Ok(())
    }
}

/// True if one whose wait began with the word `first` waits no more: it is set, or was since then.
fn is_due(now: u32, first: u32) -> bool {
    now & SET != 0 || now & !SET != first & !SET
}

impl NativeEvent {
    pub(crate) fn create(arena: &Arc<Arena>) -> Result<NativeEvent> {
        let held = arena.create_object(&EventKind, |_, object| {
            arena.body::<AtomicU32>(object).store(0, Ordering::Relaxed);
            Ok(())
        });
        held.map(NativeEvent)
    }

    fn word(&self) -> &AtomicU32 {
        self.0.arena.body(self.0.offset)
    }
}

impl RawEvent for NativeEvent {
    fn set(&self) {
        let set = |word: u32| (word & SET == 0).then(|| (word | SET).wrapping_add(TIMES));
        if self.word().fetch_update(Ordering::AcqRel, Ordering::Relaxed, set).is_ok() {
            futex::wake_all(self.word());
        }
    }

    fn clear(&self) {
        self.word().fetch_and(!SET, Ordering::AcqRel);
    }

    fn is_set(&self) -> bool {
        self.word().load(Ordering::Acquire) & SET != 0
    }

    fn times_set(&self) -> u64 {
        u64::from(self.word().load(Ordering::Acquire) / TIMES)
    }

    fn wait(&self, wait: Wait) -> Result<()> {
        let first = self.word().load(Ordering::Acquire);
        if is_due(first, first) {
            return Ok(());
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        let until = wait.deadline(&SystemClock);
        let waiting = Waiting::begin(std::process::id, Operation::EventWait, self.0.offset);
        let (operation, object) = (Operation::EventWait, self.0.offset);
        let awaits = Awaits { operation, object, detail: first.into() };
        let mut patient = Patient::new(&self.0.arena, wait, awaits);
        loop {
            let now = self.word().load(Ordering::Acquire);
            if is_due(now, first) {
                waiting.end(true);
                return Ok(());
            }
            patient.block((self.word(), now), until)?;
        }
    }
}
