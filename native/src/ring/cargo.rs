//! The handles that lie in a queue, for those who look for what only holds itself.

use super::lifecycle::Core;
use super::segment::{FIRST, JUMP, Place, RECORD, read_record};
use crate::arena::Arena;
use crate::sync::atomic::Ordering;

/// True if there are messages with handles in it.
pub(crate) fn carries(arena: &Arena, core: u64) -> bool {
    arena.at::<Core>(core).carried.load(Ordering::Acquire) != 0
}

/// Calls `see` with each handle in the messages of a queue; `false` if that takes looking at more than so
/// many records, of which those that were looked at are taken off.
///
/// The caller holds the arena's lock: meanwhile no message with handles comes or goes, and no segment.
/// Messages without may; their records stay where they are.
pub(crate) fn cargo(arena: &Arena, core: u64, records: &mut u32, see: &mut dyn FnMut(u64)) -> bool {
    let core: &Core = arena.at(core);
    let mut left = core.carried.load(Ordering::Acquire);
    let mut place = Place::unpack(core.got.0.at.load(Ordering::Acquire));
    let tail = core.put.0.at.load(Ordering::Acquire);
    while left > 0 && place.pack() != tail {
        let Some(fewer) = records.checked_sub(1) else { return false };
        *records = fewer;
        let at = place.offset();
        if arena.word(at).load(Ordering::Relaxed) == JUMP {
            let segment = arena.word(at + RECORD).load(Ordering::Relaxed);
            place = Place { segment, position: FIRST };
            continue;
        }
        let Ok(record) = read_record(arena, place) else { return false };
        for handle in 0..record.handles as u64 {
            see(arena.word(at + RECORD + 8 * handle).load(Ordering::Relaxed));
        }
        left -= u64::from(record.handles > 0);
        place = record.next;
    }
    true
}
