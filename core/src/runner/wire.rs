//! The messages between a pool and its workers: chunks of tasks one way, their ends the other.
//!
//! Fixed-width little-endian framing around the already encoded arguments and results. A chunk's
//! handles travel in one list, and every task says how many of them are its own. Tasks of another
//! worker than the one that serves the pool come behind a part that names it.

use crate::raw::{Handle, Message};
use crate::{Error, Result, codec};
use serde::Serialize;

/// The number of the message that carries the initializer instead of tasks.
pub(crate) const INITIALIZER: u64 = u64::MAX;

/// The bytes of a chunk's number.
const NUMBER: usize = 8;
/// The lengths before a part's bytes.
const PART_HEADER: usize = 8;

/// The header before a part's bytes: their number, and the number of handles.
#[inline]
fn header(bytes: usize, handles: usize) -> [u8; PART_HEADER] {
    (bytes as u32 as u64 | (handles as u64) << 32).to_le_bytes()
}

/// The number of handles of a part that is no task: its bytes name the worker that does those behind it.
const NAME: u32 = u32::MAX;

/// The byte before the end of a task, which says its kind.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const PANICKED: u8 = 2;
/// There is no such worker, or several: the text is its name, and a line for each that could be meant.
const UNKNOWN: u8 = 3;
const AMBIGUOUS: u8 = 4;

/// The most names that an error lists of those that a worker sends.
const MOST_NAMES: usize = 256;

/// The end of one task, as its worker saw it.
///
/// ```
/// use procbox_core::runner::{Outcome, TaskEnd};
/// fn end(outcome: Outcome) -> TaskEnd {
///     outcome.map_or_else(TaskEnd::Failed, |()| TaskEnd::Done)
/// }
/// assert!(matches!(end(Err("no".into())), TaskEnd::Failed(_)));
/// ```
#[derive(Debug)]
pub enum TaskEnd {
    /// With a result.
    Done,
    /// The function returned an `Err` with this message, or its arguments could not be decoded.
    Failed(String),
    /// The function panicked with this message.
    Panicked(String),
    /// The program has no worker of the name that the task's chunk says, or several.
    NotFound(Box<Error>),
}

/// Writes a chunk or its ends, part by part: first the chunk's number, then a part per task.
pub(crate) struct Writer(Message);

impl Writer {
    pub(crate) fn new(id: u64) -> Writer {
        let mut writer = Writer(Message::default());
        writer.begin(id);
        writer
    }

    /// Begins anew, in the room that there is.
    pub(crate) fn begin(&mut self, id: u64) {
        self.0.bytes.clear();
        self.0.handles.clear();
        self.0.bytes.extend_from_slice(&id.to_le_bytes());
    }

    /// Bytes of the message so far.
    pub(super) fn size(&self) -> usize {
        self.0.bytes.len()
    }

    /// The message that was written.
    pub(crate) fn message_mut(&mut self) -> &mut Message {
        &mut self.0
    }

    #[inline]
    pub(crate) fn part(&mut self, bytes: &[u8], handles: &[Handle]) {
        self.0.bytes.extend_from_slice(&header(bytes.len(), handles.len()));
        codec::append(&mut self.0.bytes, bytes);
        self.0.handles.extend_from_slice(handles);
    }

    /// Writes the end of a task; `result` is looked at if it went well.
    #[inline]
    pub(crate) fn end(&mut self, end: &TaskEnd, result: &Message) {
        match end {
            TaskEnd::Done => {
                let [a, b, c, d, e, f, g, h] = header(result.bytes.len(), result.handles.len());
                self.0.bytes.extend_from_slice(&[DONE, a, b, c, d, e, f, g, h]);
                codec::append(&mut self.0.bytes, &result.bytes);
                if !result.handles.is_empty() {
                    self.0.handles.extend_from_slice(&result.handles);
                }
            }
            TaskEnd::Failed(why) => {
                self.0.bytes.push(FAILED);
                self.part(why.as_bytes(), &[]);
            }
            TaskEnd::Panicked(why) => {
                self.0.bytes.push(PANICKED);
                self.part(why.as_bytes(), &[]);
            }
            TaskEnd::NotFound(error) => self.not_found(error),
        }
    }

    #[cold]
    fn not_found(&mut self, error: &Error) {
        let (kind, text) = match error {
            Error::NoSuchWorker { name, available } => (UNKNOWN, lines(name, available)),
            Error::AmbiguousWorker { name, candidates } => (AMBIGUOUS, lines(name, candidates)),
            other => (FAILED, other.to_string()),
        };
        self.0.bytes.push(kind);
        self.part(text.as_bytes(), &[]);
    }

    pub(crate) fn finish(self) -> Message {
        self.0
    }
}

/// A name, and the first of those behind it, a line each.
fn lines(name: &str, others: &[String]) -> String {
    let others = others.iter().take(MOST_NAMES).map(String::as_str);
    std::iter::once(name).chain(others).collect::<Vec<_>>().join("\n")
}

/// Tasks as they travel: encoded once, right where they are sent from.
pub(crate) struct Tasks {
    message: Message,
    count: usize,
    /// The bytes of the part that names their worker, if that is not the pool's own.
    named: usize,
    /// Where the message to send begins: before that are tasks that are forgotten.
    from: usize,
}

impl Tasks {
    /// None yet, for the worker of this name or else the pool's own; the number comes last.
    pub(crate) fn of(worker: Option<&str>) -> Tasks {
        Tasks::with_room(worker, 0)
    }

    /// The same, with room for so many bytes.
    pub(crate) fn with_room(worker: Option<&str>, bytes: usize) -> Tasks {
        let mut bytes = Vec::with_capacity(bytes);
        bytes.extend_from_slice(&[0; NUMBER]);
        if let Some(name) = worker {
            bytes.extend_from_slice(&header(name.len(), NAME as usize));
            bytes.extend_from_slice(name.as_bytes());
        }
        let named = bytes.len() - NUMBER;
        Tasks { message: Message { bytes, ..Message::default() }, count: 0, named, from: 0 }
    }

    /// The bytes that they have.
    pub(crate) fn bytes(&self) -> usize {
        self.message.bytes.len() - self.from
    }

    /// Just one.
    pub(crate) fn one(bytes: &[u8], handles: &[Handle]) -> Tasks {
        let mut tasks = Tasks::of(None);
        tasks.push_encoded(bytes, handles);
        tasks
    }

    /// Each alone, for the same worker.
    pub(crate) fn split(&self) -> Vec<Tasks> {
        let alone = |(bytes, handles): (&[u8], &[Handle])| {
            let mut tasks = Tasks::of(None);
            tasks.message.bytes.extend_from_slice(self.name_part());
            tasks.named = self.named;
            tasks.push_encoded(bytes, handles);
            tasks
        };
        self.each().map(alone).collect()
    }

    /// The part that names their worker; empty if there is none.
    fn name_part(&self) -> &[u8] {
        &self.message.bytes[self.from + NUMBER..][..self.named]
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Encodes the arguments of one more.
    pub(crate) fn push<T: Serialize>(&mut self, arguments: &T) -> Result<()> {
        let Message { bytes, handles } = &mut self.message;
        let at = bytes.len();
        bytes.extend_from_slice(&[0; PART_HEADER]);
        match codec::encode_more(arguments, bytes, handles) {
            Ok(own) => {
                let length = bytes.len() - at - PART_HEADER;
                if let Some(place) = bytes[at..].first_chunk_mut() {
                    *place = header(length, own);
                }
                self.count += 1;
                Ok(())
            }
            Err(e) => {
                bytes.truncate(at);
                Err(e)
            }
        }
    }

    pub(crate) fn push_encoded(&mut self, bytes: &[u8], handles: &[Handle]) {
        let mut writer = Writer(std::mem::take(&mut self.message));
        writer.part(bytes, handles);
        self.message = writer.finish();
        self.count += 1;
    }

    /// The arguments of each.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&[u8], &[Handle])> {
        let Message { bytes, handles } = &self.message;
        let mut parts = Reader { bytes: &bytes[self.from + NUMBER + self.named..], handles };
        // These are our own bytes: they have all the parts that they say.
        std::iter::from_fn(move || if parts.is_done() { None } else { parts.part().ok() })
    }

    /// Forgets the first so many. What is left stays where it is: a worker may end one task at a time
    /// of many, which must not cost a copy of all the others each time.
    pub(crate) fn drop_first(&mut self, n: usize) {
        let forgotten = self.each().take(n);
        let (count, bytes, handles) = forgotten.fold((0, 0, 0), |sum, (bytes, handles)| {
            (sum.0 + 1, sum.1 + PART_HEADER + bytes.len(), sum.2 + handles.len())
        });
        // The number of the chunk, and the name of the worker, go over the end of what is forgotten.
        let name = self.from + NUMBER..self.from + NUMBER + self.named;
        self.message.bytes.copy_within(name, self.from + NUMBER + bytes);
        self.from += bytes;
        self.message.handles.drain(..handles);
        self.count -= count;
    }

    /// The message to send, under this number.
    pub(crate) fn message(&mut self, id: u64) -> (&[u8], &[Handle]) {
        let bytes = &mut self.message.bytes[self.from..];
        bytes[..NUMBER].copy_from_slice(&id.to_le_bytes());
        (bytes, &self.message.handles)
    }
}

/// Reads what a [`Writer`] wrote. A worker may be untrusted: every length is checked.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    handles: &'a [Handle],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a Message) -> Reader<'a> {
        Reader { bytes: &message.bytes, handles: &message.handles }
    }

    /// Of a message whose handles are somewhere else.
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, handles: &[] }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }

    #[inline]
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or_else(torn)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(torn)?;
        self.bytes = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The name of the worker that does the tasks of a chunk, if that is said: to be asked first.
    #[inline]
    pub(crate) fn worker(&mut self) -> Result<Option<&'a str>> {
        let is_named = self.bytes.get(4..PART_HEADER) == Some(&NAME.to_le_bytes());
        if is_named { self.name().map(Some) } else { Ok(None) }
    }

    #[cold]
    fn name(&mut self) -> Result<&'a str> {
        let (name, _) = self.part_and_count()?;
        std::str::from_utf8(name).map_err(|_| torn())
    }

    /// The bytes of the next part, and how many handles are its own.
    #[inline]
    pub(crate) fn part_and_count(&mut self) -> Result<(&'a [u8], usize)> {
        let header = self.u64()?;
        Ok((self.take(header as u32 as usize)?, (header >> 32) as usize))
    }

    #[inline]
    pub(crate) fn part(&mut self) -> Result<(&'a [u8], &'a [Handle])> {
        let (bytes, count) = self.part_and_count()?;
        let (own, rest) = self.handles.split_at_checked(count).ok_or_else(torn)?;
        self.handles = rest;
        Ok((bytes, own))
    }

    /// The bytes of the next part if it is there and has no handles.
    #[inline]
    pub(crate) fn plain_part(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes.split_first_chunk::<PART_HEADER>()?;
        let length = u32::try_from(u64::from_le_bytes(*head)).ok()?;
        let (bytes, rest) = rest.split_at_checked(length as usize)?;
        self.bytes = rest;
        Some(bytes)
    }

    /// The result of the next task if it is there and has no handles: what most ends are.
    #[inline]
    pub(crate) fn plain_end(&mut self) -> Option<&'a [u8]> {
        let (&DONE, rest) = self.bytes.split_first()? else { return None };
        let mut end = Reader { bytes: rest, handles: &[] };
        let bytes = end.plain_part()?;
        self.bytes = end.bytes;
        Some(bytes)
    }

    /// The end of the next task, if there is one that makes sense.
    #[inline]
    pub(crate) fn next_end(&mut self) -> Option<Result<(&'a [u8], &'a [Handle])>> {
        if self.is_done() { None } else { self.end().ok() }
    }

    /// The end of one task: its result, or why it failed.
    #[inline]
    pub(crate) fn end(&mut self) -> Result<Result<(&'a [u8], &'a [Handle])>> {
        let [kind] = self.array::<1>()?;
        let (bytes, handles) = self.part()?;
        if kind == DONE { Ok(Ok((bytes, handles))) } else { failure(kind, bytes).map(Err) }
    }
}

/// The error of a task that has no result.
#[cold]
fn failure(kind: u8, text: &[u8]) -> Result<Error> {
    let text = String::from_utf8_lossy(text);
    match kind {
        FAILED => Ok(Error::Task(text.into_owned())),
        PANICKED => Ok(Error::Task(format!("panicked: {text}"))),
        UNKNOWN => {
            let (name, available) = names(&text);
            Ok(Error::NoSuchWorker { name, available })
        }
        AMBIGUOUS => {
            let (name, candidates) = names(&text);
            Ok(Error::AmbiguousWorker { name, candidates })
        }
        _ => Err(torn()),
    }
}

/// What [`lines`] wrote, of a worker that may be untrusted.
fn names(text: &str) -> (String, Vec<String>) {
    let mut lines = text.lines().map(String::from);
    (lines.next().unwrap_or_default(), lines.take(MOST_NAMES).collect())
}

#[cold]
fn torn() -> Error {
    Error::Decode {
        type_name: "pool message",
        why: "it does not have the parts that it says".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let mut w = Writer::new(7);
        let result = Message { bytes: vec![1, 2], handles: vec![] };
        w.end(&TaskEnd::Done, &result);
        w.end(&TaskEnd::Failed("no".into()), &result);
        let m = w.finish();
        let mut r = Reader::new(&m);
        assert_eq!(r.u64(), Ok(7));
        assert_eq!(r.end().map(|e| e.map(|(b, _)| b.to_vec())), Ok(Ok(vec![1, 2])));
        assert_eq!(r.end().map(|e| e.map(|_| ())), Ok(Err(Error::Task("no".into()))));
        assert!(r.is_done());
    }

    /// The bytes that docs/guest-abi.md shows, for who writes a worker in another language.
    #[test]
    fn what_map_sends_is_as_its_page_says() {
        let mut tasks = Tasks::of(None);
        tasks.push(&(crate::Bytes(b"ab".to_vec()),)).unwrap();
        let chunk = [0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, b'a', b'b'];
        assert_eq!(tasks.message(0).0, chunk);
        let mut done = Writer::new(0);
        done.end(&TaskEnd::Done, &Message::of(&crate::Bytes(b"AB".to_vec())).unwrap());
        let answer = [0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, b'A', b'B'];
        assert_eq!(done.finish().bytes, answer);
        let mut failed = Writer::new(0);
        failed.end(&TaskEnd::Failed("no".into()), &Message::default());
        let answer = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, b'n', b'o'];
        assert_eq!(failed.finish().bytes, answer);
        let most = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(Message::of(&u64::MAX).unwrap().bytes, most);
    }

    #[test]
    fn tasks_are_what_a_writer_would_write() {
        let mut tasks = Tasks::of(None);
        let mut writer = Writer::new(7);
        for n in [1u64, 300, 70_000] {
            tasks.push(&(n,)).unwrap();
            writer.part(&Message::of(&(n,)).unwrap().bytes, &[]);
        }
        assert_eq!((tasks.len(), tasks.message(7).0), (3, &writer.finish().bytes[..]));
        tasks.drop_first(2);
        let left: Vec<_> = tasks.each().map(|(bytes, _)| bytes.to_vec()).collect();
        assert_eq!((tasks.len(), left), (1, vec![Message::of(&(70_000u64,)).unwrap().bytes]));
        let alone = Tasks::one(&[1, 2], &[]);
        assert_eq!(alone.each().next().map(|(bytes, _)| bytes), Some(&[1u8, 2][..]));
    }

    #[test]
    fn tasks_of_another_worker_name_it_also_alone_and_when_some_are_forgotten() {
        let name = "app::with_a_name_that_is_longer_than_a_task@0.1.0/src/main.rs:7:1";
        let mut tasks = Tasks::of(Some(name));
        (0..5u8).for_each(|n| tasks.push(&(n,)).unwrap());
        let read = |tasks: &mut Tasks| {
            let (bytes, handles) = tasks.message(9);
            let mut reader = Reader { bytes, handles };
            assert_eq!((reader.u64(), reader.worker()), (Ok(9), Ok(Some(name))));
            let next = || if reader.is_done() { None } else { reader.part().ok() };
            std::iter::from_fn(next).map(|(bytes, _)| bytes.to_vec()).collect::<Vec<_>>()
        };
        for left in (1..=5u8).rev() {
            let those: Vec<_> = (5 - left..5).map(|n| vec![n]).collect();
            assert_eq!(read(&mut tasks), those);
            for (n, alone) in tasks.split().iter_mut().enumerate() {
                assert_eq!((alone.len(), read(alone)), (1, vec![those[n].clone()]));
            }
            tasks.drop_first(1);
        }
        assert!(tasks.is_empty());
    }

    #[test]
    fn the_error_of_a_worker_that_is_not_there_comes_back() {
        let several = Error::AmbiguousWorker { name: "w".into(), candidates: vec!["a::w".into()] };
        let none = Error::NoSuchWorker { name: "v".into(), available: vec![] };
        for error in [several, none] {
            let mut w = Writer::new(1);
            w.end(&TaskEnd::NotFound(Box::new(error.clone())), &Message::default());
            let m = w.finish();
            let mut r = Reader::new(&m);
            assert_eq!((r.u64(), r.end().map(|e| e.map(|_| ()))), (Ok(1), Ok(Err(error))));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read(tasks: Vec<Vec<u8>>, id: u64, dropped in 0usize..10) {
            let mut sent = Tasks::of(None);
            tasks.iter().for_each(|bytes| sent.push_encoded(bytes, &[]));
            sent.drop_first(dropped.min(tasks.len()));
            let left = &tasks[dropped.min(tasks.len())..];
            let each: Vec<_> = sent.each().map(|(bytes, _)| bytes.to_vec()).collect();
            prop_assert_eq!(&each[..], left);
            let (bytes, handles) = sent.message(id);
            let mut reader = Reader { bytes, handles };
            prop_assert_eq!(reader.u64(), Ok(id));
            for bytes in left {
                prop_assert_eq!(reader.part_and_count(), Ok((&bytes[..], 0)));
            }
            prop_assert!(reader.is_done());
        }

        #[test]
        fn whatever_an_untrusted_worker_sends_is_read_to_an_end(bytes: Vec<u8>) {
            let length = bytes.len();
            let message = Message { bytes, handles: Vec::new() };
            let mut reader = Reader::new(&message);
            let _ = reader.u64();
            let ends = std::iter::from_fn(|| reader.next_end()).take(length + 1).count();
            prop_assert!(ends <= length, "each end has bytes of its own");
        }
    }

    #[test]
    fn a_task_that_cannot_be_encoded_leaves_nothing_behind() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(
                &self,
                s: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                s.serialize_u64(1)?;
                Err(serde::ser::Error::custom("no"))
            }
        }
        let mut tasks = Tasks::of(None);
        assert!(tasks.push(&Refuses).is_err());
        assert_eq!((tasks.len(), tasks.each().count()), (0, 0));
    }

    #[test]
    fn every_cut_is_an_error_and_never_a_panic() {
        let mut w = Writer::new(7);
        w.end(&TaskEnd::Panicked("a longer text".into()), &Message::default());
        let whole = w.finish();
        for cut in 0..whole.bytes.len() {
            let m = Message { bytes: whole.bytes[..cut].to_vec(), handles: vec![] };
            let mut r = Reader::new(&m);
            assert!(r.u64().and_then(|_| r.end().map(|_| ())).is_err());
        }
    }
}
