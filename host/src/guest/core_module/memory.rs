//! A guest's linear memory, as host calls read and write it.

use super::code::Refusal;
use crate::state::State;
use procbox_abi::MEMORY;
use procbox_core::copy;
use wasmtime::{Caller, Extern};

/// A guest's linear memory during one host call.
pub(crate) struct Memory<'a>(&'a mut [u8]);

impl<'a> Memory<'a> {
    /// The caller's memory and state. A guest without a memory has an empty one.
    #[inline]
    pub(crate) fn of(caller: &'a mut Caller<'_, State>) -> (Memory<'a>, &'a mut State) {
        let memory = match caller.data().memory {
            Some(memory) => Some(memory),
            // A start function runs before the exports are known.
            None => caller.get_export(MEMORY).and_then(Extern::into_memory),
        };
        match memory {
            Some(memory) => {
                let (bytes, state) = memory.data_and_store_mut(caller);
                (Memory(bytes), state)
            }
            None => (Memory(&mut []), caller.data_mut()),
        }
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of it.
    pub(crate) fn into_bytes(self) -> &'a mut [u8] {
        self.0
    }

    #[inline]
    pub(crate) fn get(&self, at: usize, len: usize) -> Option<&[u8]> {
        self.0.get(at..at.checked_add(len)?)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        self.0.get_mut(at..at.checked_add(len)?)
    }

    /// Writes bytes; whether they were inside.
    #[inline]
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> bool {
        match self.get_mut(at, bytes.len()) {
            Some(place) => {
                copy::copy(place, bytes);
                true
            }
            None => false,
        }
    }

    #[inline]
    pub(super) fn bytes(&self, at: u32, len: u32) -> Result<&[u8], Refusal> {
        self.get(at as usize, len as usize).ok_or(Refusal::BAD_POINTER)
    }

    /// The bytes of something of a fixed size.
    pub(super) fn array<const N: usize>(&self, at: u32) -> Result<&[u8; N], Refusal> {
        self.get(at as usize, N).and_then(|b| b.try_into().ok()).ok_or(Refusal::BAD_POINTER)
    }

    pub(super) fn text(&self, at: u32, len: u32) -> Result<String, Refusal> {
        let bytes = self.bytes(at, len)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Refusal::INVALID)
    }

    /// The `n` handles that are listed at a place. Where there are none the place does not matter.
    #[inline]
    pub(super) fn handles(&self, at: u32, n: u32) -> Result<impl Iterator<Item = i32>, Refusal> {
        let listed = match (n as usize).checked_mul(size_of::<i32>()) {
            Some(0) => Some(&[][..]),
            Some(len) => self.get(at as usize, len),
            None => None,
        };
        let (numbers, _) = listed.ok_or(Refusal::BAD_POINTER)?.as_chunks();
        Ok(numbers.iter().map(|number| i32::from_le_bytes(*number)))
    }

    #[inline]
    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Refusal> {
        if self.put(at as usize, bytes) { Ok(()) } else { Err(Refusal::BAD_POINTER) }
    }

    /// Says whether this place is inside.
    pub(super) fn check(&self, at: u32, len: usize) -> Result<(), Refusal> {
        self.get(at as usize, len).map(|_| ()).ok_or(Refusal::BAD_POINTER)
    }
}
