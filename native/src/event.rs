//! The event: one word, a flag and the number of times that it was set; and a signal for those who watch.
//!
//! The number lets a waiter that is woken late see that the flag was set since it came, even if it
//! has been cleared again.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs};
use crate::arena::layout::{BODY, Hold, Tag, shared};
use crate::arena::waits::{Awaits, Patient};
use crate::arena::watches::Wakes;
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::signal::Signal;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::{Handle, RawEvent, Watch};
use procbox_core::time::SystemClock;
use procbox_core::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

const SET: u32 = 1;
/// Above the flag: how often it was set.
const TIMES: u32 = 2;

shared! {
    /// The body of an event. All zero is one that was never set.
    struct Core {
        /// On which those sleep who wait.
        word: AtomicU32,
        unused: AtomicU32,
        /// For those who watch.
        told: Signal,
    }
}

const SIZE: u64 = size_of::<Core>() as u64;

/// An event, by handle.
pub(crate) struct NativeEvent(Arc<Held>);

/// Kind of events, as the arena sees it.
pub(crate) struct EventKind;

impl Kind for EventKind {
    fn tag(&self) -> Tag {
        Tag::number(3)
    }

    fn size(&self) -> u64 {
        BODY + SIZE
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Event(Arc::new(NativeEvent(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Event(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|event: &NativeEvent| &event.0)
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        let now = arena.body::<Core>(awaits.object).word.load(Ordering::SeqCst);
        if is_due(now, awaits.detail as u32) { Needs::Nothing } else { Needs::Referrers }
    }

    fn recover(&self, arena: &Arena, object: u64, _: &Hold, _: &Patience) -> Result<()> {
        let core: &Core = arena.body(object);
        futex::wake_all(&core.word);
        core.told.bump(arena.shared(), futex::wake_all);
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
            arena.zero(object + BODY, SIZE);
            Ok(())
        });
        held.map(NativeEvent)
    }

    fn core(&self) -> &Core {
        self.0.arena.body(self.0.offset)
    }

    fn word(&self) -> &AtomicU32 {
        &self.core().word
    }
}

impl RawEvent for NativeEvent {
    fn set(&self) {
        let set = |word: u32| (word & SET == 0).then(|| (word | SET).wrapping_add(TIMES));
        if self.word().fetch_update(Ordering::AcqRel, Ordering::Relaxed, set).is_ok() {
            futex::wake_all(self.word());
            self.core().told.changed(self.0.arena.shared(), futex::wake_all);
        }
    }

    fn clear(&self) {
        self.word().fetch_and(!SET, Ordering::AcqRel);
    }

    fn is_set(&self) -> bool {
        self.word().load(Ordering::Acquire) & SET != 0
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

    fn times_set(&self) -> Option<u64> {
        Some((self.word().load(Ordering::Acquire) / TIMES).into())
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.0.watch(&self.core().told, Wakes::All, waker).map(Some)
    }
}
