//! A pool's worker whose program does not speak the pool's protocol: whoever runs it does so for it.
//!
//! Such a program knows byte strings only. Its arguments are a byte string, or a text, and behind it
//! any number of handles; its result is a byte string.

use super::TaskEnd;
use super::wire::{INITIALIZER, Reader, Writer};
use crate::raw::Message;
use crate::{Error, Result, codec};

/// How many chunks a worker takes before it leaves, of the message that it is started with. The queues
/// of tasks and of results are that message's handles, in this order.
///
/// ```
/// use procbox_core::runner::chunks_of;
/// assert!(chunks_of(b"").is_err());
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Decode`].
pub fn chunks_of(terms: &[u8]) -> Result<u64> {
    codec::first(terms).map(|(most, _)| most)
}

/// The byte string or text that arguments begin with; what is behind it are handles.
///
/// ```
/// use procbox_core::raw::Message;
/// use procbox_core::runner::byte_string;
/// let message = Message::of(&("some words", 7u8))?;
/// assert_eq!(byte_string(&message.bytes)?, b"some words");
/// assert!(byte_string(&[9, 1]).is_err()); // nine bytes, of which eight are not there
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Decode`] if there is none.
pub fn byte_string(arguments: &[u8]) -> Result<&[u8]> {
    let (length, rest) = codec::first::<u64>(arguments)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    rest.get(..length).ok_or_else(|| Error::Decode {
        type_name: "bytes",
        why: format!("{length} of them are said to be there, and {} are", rest.len()),
    })
}

/// A byte string and behind it so many handles, which are the message's in their order: what
/// [`byte_string`] reads, and whoever expects bytes, or a tuple of bytes and handles.
///
/// ```
/// use procbox_core::Bytes;
/// use procbox_core::raw::Message;
/// use procbox_core::runner::{byte_string, with_handles};
/// assert_eq!(with_handles(b"text", 0)?, Message::of(&Bytes::from("text"))?.bytes);
/// assert_eq!(byte_string(&with_handles(b"text", 2)?)?, b"text");
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Encode`], which does not happen to bytes.
pub fn with_handles(bytes: &[u8], handles: u32) -> Result<Vec<u8>> {
    let mut message = Vec::with_capacity(bytes.len() + 10);
    codec::encode(&BorrowedBytes(bytes), &mut message)?;
    (0..handles).try_for_each(|at| codec::encode(&at, &mut message).map(|_| ()))?;
    Ok(message)
}

/// A chunk of tasks, or the call of an initializer, as a pool sends it.
///
/// ```
/// use procbox_core::runner::Chunk;
/// assert!(Chunk::of(b"torn").is_err());
/// ```
#[derive(Debug)]
pub struct Chunk<'a> {
    id: u64,
    worker: Option<&'a str>,
    parts: Reader<'a>,
}

impl<'a> Chunk<'a> {
    /// Reads the beginning of a message.
    ///
    /// ```
    /// use procbox_core::runner::Chunk;
    /// let message = 7u64.to_le_bytes();
    /// let empty = Chunk::of(&message)?;
    /// assert_eq!((empty.is_initializer(), empty.is_done()), (false, true));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Decode`].
    pub fn of(message: &'a [u8]) -> Result<Chunk<'a>> {
        let mut parts = Reader::of_bytes(message);
        Ok(Chunk { id: parts.u64()?, worker: parts.worker()?, parts })
    }

    /// The worker that does its tasks, by the name that is asked for, if that is not the one that serves
    /// the pool.
    ///
    /// ```
    /// use procbox_core::runner::Chunk;
    /// let none = 7u64.to_le_bytes();
    /// let named = [&none[..], &[4, 0, 0, 0, 255, 255, 255, 255], b"half"].concat();
    /// assert_eq!(Chunk::of(&named)?.worker(), Some("half"));
    /// assert_eq!(Chunk::of(&none)?.worker(), None);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn worker(&self) -> Option<&'a str> {
        self.worker
    }

    /// True if it is no chunk: its first part is the name of a function to call once, its second the
    /// arguments.
    ///
    /// ```
    /// use procbox_core::runner::Chunk;
    /// assert!(Chunk::of(&u64::MAX.to_le_bytes())?.is_initializer());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_initializer(&self) -> bool {
        self.id == INITIALIZER
    }

    /// True if there is no further part.
    ///
    /// ```
    /// use procbox_core::runner::Chunk;
    /// let one = [7u64.to_le_bytes(), [3, 0, 0, 0, 1, 0, 0, 0]].concat();
    /// assert!(!Chunk::of(&one)?.is_done());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_done(&self) -> bool {
        self.parts.is_done()
    }

    /// The next part, encoded arguments, and how many of the message's handles are its own.
    ///
    /// ```
    /// use procbox_core::runner::Chunk;
    /// let bytes = [&7u64.to_le_bytes()[..], &[2, 0, 0, 0, 1, 0, 0, 0], b"ab"].concat();
    /// let mut chunk = Chunk::of(&bytes)?;
    /// assert_eq!((chunk.part()?, chunk.is_done()), ((&b"ab"[..], 1), true));
    /// assert!(chunk.part().is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Decode`] if there is none.
    pub fn part(&mut self) -> Result<(&'a [u8], usize)> {
        self.parts.part_and_count()
    }

    /// The message that answers this chunk, as yet without ends.
    ///
    /// ```
    /// use procbox_core::runner::Chunk;
    /// let ends = Chunk::of(&7u64.to_le_bytes())?.answer();
    /// assert_eq!(ends.into_bytes(), 7u64.to_le_bytes());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn answer(&self) -> Ends {
        Ends { id: self.id, writer: Writer::new(self.id), count: 0 }
    }
}

/// How the tasks of a chunk have ended, one after another.
///
/// ```
/// use procbox_core::runner::Chunk;
/// let mut ends = Chunk::of(&7u64.to_le_bytes())?.answer();
/// ends.done(b"result")?;
/// ends.failed("no such file");
/// assert!(!ends.into_bytes().is_empty());
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub struct Ends {
    id: u64,
    writer: Writer,
    count: usize,
}

impl Ends {
    /// The next task has this result.
    ///
    /// ```
    /// # use procbox_core::runner::Chunk;
    /// # let mut ends = Chunk::of(&7u64.to_le_bytes())?.answer();
    /// ends.done(b"a result")?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Encode`], which does not happen to bytes.
    pub fn done(&mut self, result: &[u8]) -> Result<()> {
        let mut message = Message::default();
        codec::encode(&BorrowedBytes(result), &mut message.bytes)?;
        self.writer.end(&TaskEnd::Done, &message);
        self.count += 1;
        Ok(())
    }

    /// The next task has failed, for this reason.
    ///
    /// ```
    /// # use procbox_core::runner::Chunk;
    /// # let mut ends = Chunk::of(&7u64.to_le_bytes())?.answer();
    /// ends.failed("a reason");
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn failed(&mut self, why: &str) {
        self.writer.end(&TaskEnd::Failed(why.to_string()), &Message::default());
        self.count += 1;
    }

    /// The same number of ends, all of them failures for this reason: for when the results cannot be
    /// sent.
    ///
    /// ```
    /// # use procbox_core::runner::Chunk;
    /// # let mut ends = Chunk::of(&7u64.to_le_bytes())?.answer();
    /// ends.done(&[0; 1 << 20])?;
    /// assert!(ends.all_failed("too large").into_bytes().len() < 100);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn all_failed(&self, why: &str) -> Ends {
        let mut failed = Ends { id: self.id, writer: Writer::new(self.id), count: 0 };
        (0..self.count).for_each(|_| failed.failed(why));
        failed
    }

    /// Bytes of the message that it comes to.
    ///
    /// ```
    /// # use procbox_core::runner::Chunk;
    /// assert_eq!(Chunk::of(&7u64.to_le_bytes())?.answer().size(), 8);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn size(&self) -> usize {
        self.writer.size()
    }

    /// The message to send.
    ///
    /// ```
    /// # use procbox_core::runner::Chunk;
    /// # let ends = Chunk::of(&7u64.to_le_bytes())?.answer();
    /// assert_eq!(ends.into_bytes().len(), 8);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn into_bytes(self) -> Vec<u8> {
        self.writer.finish().bytes
    }
}

/// Bytes that are encoded as [`crate::Bytes`] are.
struct BorrowedBytes<'a>(&'a [u8]);

impl serde::Serialize for BorrowedBytes<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_bytes(self.0)
    }
}
