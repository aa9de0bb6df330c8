//! Ledgers: a page is copied out, and copied in again if nobody else has changed it meanwhile.

use super::code::{Code, Refusal, Waiting, answer, refuse, wait as wait_of};
use super::memory::Memory;
use crate::ops;
use crate::state::State;
use procbox_abi::LedgerPage;
use procbox_core::raw::{BELLS, Page};
use wasmtime::Caller;

pub(super) fn new(mut caller: Caller<'_, State>) -> Code {
    answer(ops::ledger::new(caller.data_mut()))
}

pub(super) fn read(mut caller: Caller<'_, State>, handle: i32, out: u32) -> Code {
    answer(read_page(&mut caller, handle, out))
}

fn read_page(caller: &mut Caller<'_, State>, handle: i32, out: u32) -> Result<(), Refusal> {
    let (mut memory, state) = Memory::of(caller);
    let (written, line) = ops::ledger::read(state, handle)?;
    let [word_0, word_1, word_2, word_3, word_4, word_5, word_6, word_7] = written.page.words;
    let ([lost_0, lost_1, lost_2], [ring_0, ring_1]) = (written.page.lost, written.seen);
    let page = LedgerPage {
        version: written.version,
        word_0,
        word_1,
        word_2,
        word_3,
        word_4,
        word_5,
        word_6,
        word_7,
        lost_0,
        lost_1,
        lost_2,
        line,
        ring_0,
        ring_1,
    };
    state.work.bytes(LedgerPage::SIZE);
    memory.write(out, &page.to_bytes())
}

pub(super) fn write(mut caller: Caller<'_, State>, handle: i32, page: u32) -> Code {
    answer(write_page(&mut caller, handle, page))
}

fn write_page(caller: &mut Caller<'_, State>, handle: i32, at: u32) -> Result<bool, Refusal> {
    let (memory, state) = Memory::of(caller);
    ops::ledger::check(state, handle)?;
    let from = LedgerPage::from_bytes(memory.array(at)?);
    state.work.bytes(LedgerPage::SIZE);
    let page = Page {
        words: [
            from.word_0,
            from.word_1,
            from.word_2,
            from.word_3,
            from.word_4,
            from.word_5,
            from.word_6,
            from.word_7,
        ],
        lost: [from.lost_0, from.lost_1, from.lost_2],
        ring: [from.ring_0, from.ring_1],
        ..Page::default()
    };
    Ok(ops::ledger::write(state, handle, from.version, &page, from.line)?)
}

pub(super) fn wait(
    mut caller: Caller<'_, State>,
    (handle, bell, seen, timeout): (i32, i32, i32, i64),
) -> Waiting<'_> {
    Box::new(async move {
        if let Err(e) = ops::ledger::check(caller.data(), handle) {
            return refuse(e);
        }
        match usize::try_from(bell) {
            Ok(bell) if bell < BELLS => {
                let (state, seen) = (caller.data_mut(), seen as u32);
                answer(ops::ledger::wait(state, handle, bell, seen, wait_of(timeout)).await)
            }
            _ => refuse(Refusal::INVALID),
        }
    })
}
