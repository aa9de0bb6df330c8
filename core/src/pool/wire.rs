//! What a pool and its workers say to each other: chunks of tasks one way, their ends the other.
//!
//! Fixed-width little-endian framing around the already encoded arguments and results. A chunk's
//! handles travel in one list, and every task says how many of them are its own.

use crate::{Error, Handle, Message, Result};

/// The number of the message that carries the initializer instead of tasks.
pub(super) const INITIALIZER: u64 = u64::MAX;

/// How one task ended, as its worker saw it.
#[derive(Debug)]
pub enum TaskEnd {
    /// With this result.
    Done(Message),
    /// The function returned an `Err` with this message, or its arguments could not be decoded.
    Failed(String),
    /// The function panicked with this message.
    Panicked(String),
}

/// Writes a chunk or its ends, part by part: first the chunk's number, then a part per task.
pub(super) struct Writer {
    bytes: Vec<u8>,
    handles: Vec<Handle>,
}

impl Writer {
    pub(super) fn new(id: u64) -> Writer {
        Writer { bytes: id.to_le_bytes().to_vec(), handles: Vec::new() }
    }

    pub(super) fn part(&mut self, bytes: &[u8], handles: &[Handle]) {
        self.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(handles.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        self.handles.extend_from_slice(handles);
    }

    pub(super) fn end(&mut self, end: &TaskEnd) {
        match end {
            TaskEnd::Done(message) => {
                self.bytes.push(0);
                self.part(&message.bytes, &message.handles);
            }
            TaskEnd::Failed(why) => {
                self.bytes.push(1);
                self.part(why.as_bytes(), &[]);
            }
            TaskEnd::Panicked(why) => {
                self.bytes.push(2);
                self.part(why.as_bytes(), &[]);
            }
        }
    }

    pub(super) fn finish(self) -> Message {
        Message { bytes: self.bytes, handles: self.handles }
    }
}

/// Reads what a [`Writer`] wrote. A worker may be untrusted: every length is checked.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    handles: &'a [Handle],
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a Message) -> Reader<'a> {
        Reader { bytes: &message.bytes, handles: &message.handles }
    }

    pub(super) fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or_else(torn)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(torn)?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn part(&mut self) -> Result<(&'a [u8], &'a [Handle])> {
        let bytes = self.u32()? as usize;
        let handles = self.u32()? as usize;
        let bytes = self.take(bytes)?;
        let (own, rest) = self.handles.split_at_checked(handles).ok_or_else(torn)?;
        self.handles = rest;
        Ok((bytes, own))
    }

    /// The end of one task: its result, or why it failed.
    pub(super) fn end(&mut self) -> Result<Result<(&'a [u8], &'a [Handle])>> {
        let [kind] = self.array::<1>()?;
        let (bytes, handles) = self.part()?;
        let text = || String::from_utf8_lossy(bytes).into_owned();
        match kind {
            0 => Ok(Ok((bytes, handles))),
            1 => Ok(Err(Error::Task(text()))),
            2 => Ok(Err(Error::Task(format!("panicked: {}", text())))),
            _ => Err(torn()),
        }
    }
}

fn torn() -> Error {
    Error::Decode {
        type_name: "pool message",
        why: "it does not have the parts that it says".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut w = Writer::new(7);
        w.end(&TaskEnd::Done(Message { bytes: vec![1, 2], handles: vec![] }));
        w.end(&TaskEnd::Failed("no".into()));
        let m = w.finish();
        let mut r = Reader::new(&m);
        assert_eq!(r.u64(), Ok(7));
        assert_eq!(r.end().map(|e| e.map(|(b, _)| b.to_vec())), Ok(Ok(vec![1, 2])));
        assert_eq!(r.end().map(|e| e.map(|_| ())), Ok(Err(Error::Task("no".into()))));
        assert!(r.is_done());
    }

    #[test]
    fn every_cut_is_an_error_and_never_a_panic() {
        let mut w = Writer::new(7);
        w.end(&TaskEnd::Panicked("a longer text".into()));
        let whole = w.finish();
        for cut in 0..whole.bytes.len() {
            let m = Message { bytes: whole.bytes[..cut].to_vec(), handles: vec![] };
            let mut r = Reader::new(&m);
            assert!(r.u64().and_then(|_| r.end().map(|_| ())).is_err());
        }
    }
}
