//! The image of a process: what its globals and memories hold.
//!
//! The host that reads it has a process's memory, of which most pages may never have been written to;
//! only those that hold something are in the bytes that go to who makes the module.

use procbox_core::Bytes;
use procbox_core::raw::Message;
use wasmtime::Val;
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType};

/// What is looked at at once, and kept if it is not all zeros.
const PIECE: usize = 4096;

/// A global: its name, its type, and its bits.
type Global = (String, u8, u64, u64);
/// A memory: its name, its bytes, and the runs of it that hold something.
type Memory = (String, u64, Vec<(u64, Bytes)>);

/// Types of globals.
const I32: u8 = 0;
const I64: u8 = 1;
const F32: u8 = 2;
const F64: u8 = 3;
const V128: u8 = 4;

/// An image, on the side that reads it out of a process.
#[derive(Default)]
pub(super) struct Reading {
    globals: Vec<Global>,
    memories: Vec<Memory>,
}

impl Reading {
    /// Notes a global; false if it is none that an image can have.
    pub(super) fn global(&mut self, name: &str, value: Val) -> bool {
        let (ty, bits) = match value {
            Val::I32(bits) => (I32, u128::from(bits.cast_unsigned())),
            Val::I64(bits) => (I64, u128::from(bits.cast_unsigned())),
            Val::F32(bits) => (F32, u128::from(bits)),
            Val::F64(bits) => (F64, u128::from(bits)),
            Val::V128(bits) => (V128, bits.as_u128()),
            _ => return false,
        };
        self.globals.push((name.to_string(), ty, bits as u64, (bits >> 64) as u64));
        true
    }

    /// Notes what a memory holds.
    pub(super) fn memory(&mut self, name: &str, memory: &[u8]) {
        let mut runs: Vec<(u64, Bytes)> = Vec::new();
        for (n, piece) in memory.chunks(PIECE).enumerate() {
            let at = (n * PIECE) as u64;
            match runs.last_mut() {
                _ if piece.iter().all(|byte| *byte == 0) => {}
                Some((from, run)) if *from + run.len() as u64 == at => run.0.extend(piece),
                _ => runs.push((at, Bytes(piece.to_vec()))),
            }
        }
        self.memories.push((name.to_string(), memory.len() as u64, runs));
    }

    pub(super) fn to_bytes(&self) -> procbox_core::Result<Vec<u8>> {
        Message::of(&(&self.globals, &self.memories)).map(|message| message.bytes)
    }
}

/// An image, on the side that makes a module of it.
pub(crate) struct Image {
    globals: Vec<Global>,
    memories: Vec<(String, Vec<u8>)>,
}

impl Image {
    /// The image in these bytes, if they are one.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<Image> {
        let message = Message { bytes, handles: Vec::new() };
        let (globals, read): (Vec<Global>, Vec<Memory>) = message.into_value().ok()?;
        let mut memories = Vec::with_capacity(read.len());
        for (name, length, runs) in read {
            let mut memory = vec![0; usize::try_from(length).ok()?];
            for (at, run) in runs {
                let at = usize::try_from(at).ok()?;
                memory.get_mut(at..at.checked_add(run.len())?)?.copy_from_slice(&run);
            }
            memories.push((name, memory));
        }
        Some(Image { globals, memories })
    }
}

impl InstanceState for Image {
    async fn global_get(&mut self, name: &str, ty: ValType) -> SnapshotVal {
        let found = self.globals.iter().find(|(own, ..)| own == name);
        let (kind, bits) = found.map_or((I32, 0), |(_, kind, low, high)| {
            (*kind, u128::from(*high) << 64 | u128::from(*low))
        });
        // One that is missing is one that the module does not have: it is made of the same.
        match (kind, ty) {
            (I64, _) => SnapshotVal::I64(bits as i64),
            (F32, _) => SnapshotVal::F32(bits as u32),
            (F64, _) => SnapshotVal::F64(bits as u64),
            (V128, _) => SnapshotVal::V128(bits),
            _ => SnapshotVal::I32(bits as i32),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let found = self.memories.iter().find(|(own, _)| own == name);
        contents(found.map_or(&[], |(_, memory)| memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_memory_comes_back_as_it_was_read(
            pages in prop::collection::vec(prop::option::of((0..PIECE, any::<u8>())), 0..20),
        ) {
            let mut memory = vec![0; pages.len() * PIECE];
            for (n, page) in pages.iter().enumerate() {
                if let Some((at, byte)) = page {
                    memory[n * PIECE + at] = *byte;
                }
            }
            let mut reading = Reading::default();
            reading.memory("m", &memory);
            prop_assert!(reading.global("g", Val::I64(-7)));
            let bytes = reading.to_bytes().unwrap();
            let image = Image::from_bytes(bytes.clone()).unwrap();
            prop_assert_eq!(&image.memories, &[("m".to_string(), memory)]);
            prop_assert_eq!(image.globals[0].2 as i64, -7);
            for end in 0..bytes.len().min(200) {
                prop_assert!(Image::from_bytes(bytes[..end].to_vec()).is_none());
            }
        }
    }

    #[test]
    fn what_is_zero_is_not_sent() {
        let mut reading = Reading::default();
        let mut memory = vec![0; 64 << 20];
        memory[32 << 20] = 1;
        reading.memory("m", &memory);
        assert!(reading.to_bytes().unwrap().len() < 2 * PIECE);
    }

    #[test]
    fn a_run_out_of_its_memory_is_no_image() {
        let globals: Vec<Global> = Vec::new();
        for at in [1, 4096, u64::MAX] {
            let memories: Vec<Memory> = vec![("m".into(), 4096, vec![(at, Bytes(vec![1; 4096]))])];
            let bytes = Message::of(&(&globals, &memories)).unwrap().bytes;
            assert!(Image::from_bytes(bytes).is_none(), "{at}");
        }
    }
}
