//! Where a value is serialised to: a buffer, and from its first large piece on, memory that the queue lends
//! which it is for.

use super::append;
use crate::raw::Lent;
use crate::{Result, copy};
use postcard::ser_flavors::Flavor;

/// A piece of so many bytes is not copied into the buffer, if there is a queue that lends memory.
const LARGE: usize = 16 << 10;

/// Room that is asked for behind a large piece: what often follows it is little.
const MORE: usize = 64;

/// Bytes that may stand before the contents of a message so that these are aligned.
const PREFIX: usize = 8;

/// Lends memory for a message of so many bytes, of which the first few lead to its contents.
pub(crate) type Lender<'a> = &'a dyn Fn(usize, usize) -> Result<Option<Lent>>;

/// A buffer, or lent memory.
pub(crate) struct Out<'a> {
    buffer: &'a mut Vec<u8>,
    /// Who is asked for memory.
    lender: Option<Lender<'a>>,
    /// The memory, once there is some: then the buffer has nothing of the message.
    lent: &'a mut Option<Lent>,
    /// How much of it is written.
    written: usize,
}

impl<'a> Out<'a> {
    /// Appends to a buffer, and asks for memory if that is worth it.
    #[inline]
    pub(crate) fn new(
        buffer: &'a mut Vec<u8>,
        lender: Lender<'a>,
        lent: &'a mut Option<Lent>,
    ) -> Out<'a> {
        Out { buffer, lender: Some(lender), lent, written: 0 }
    }

    /// Appends a large piece, or one to memory that is lent.
    #[cold]
    fn extend_large(&mut self, data: &[u8]) {
        let written = if self.lent.is_some() { self.written } else { self.buffer.len() };
        let needed = written + data.len();
        if self.lent.as_ref().is_none_or(|lent| lent.bytes().len() < needed) {
            self.grow(written, needed);
        }
        match self.lent {
            Some(lent) => {
                copy::copy(&mut lent.bytes_mut()[written..needed], data);
                self.written = needed;
            }
            None => copy::append(self.buffer, data),
        }
    }

    /// Asks for memory for so many bytes, and has what is written so far there. If there is none, the
    /// buffer has it from here on, and to put it says why.
    fn grow(&mut self, written: usize, needed: usize) {
        let size = match &self.lent {
            // It grew before: by halves, so that each byte is copied a few times at most.
            Some(_) => needed + needed / 2,
            None => needed + MORE,
        };
        let prefix = if written <= PREFIX { written } else { 0 };
        let more = self.lender.and_then(|lender| lender(size, prefix).ok().flatten());
        let before = self.lent.take();
        let so_far = before.as_ref().map_or(&self.buffer[..], Lent::bytes);
        if let Some(mut more) = more {
            copy::copy(&mut more.bytes_mut()[..written], &so_far[..written]);
            *self.lent = Some(more);
        } else {
            self.lender = None;
            if let Some(lent) = before {
                self.buffer.clear();
                copy::append(self.buffer, &lent.bytes()[..written]);
            }
        }
    }
}

impl Flavor for Out<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        if self.lent.is_some() || data.len() >= LARGE {
            self.extend_large(data);
        } else {
            append(self.buffer, data);
        }
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        if self.lent.is_some() {
            self.extend_large(&[data]);
        } else {
            self.buffer.push(data);
        }
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        if let Some(lent) = self.lent {
            lent.truncate(self.written);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode, encode_to};
    use crate::{Bytes, Error};
    use std::cell::Cell;

    #[test]
    fn what_is_lent_has_the_same_bytes_as_a_buffer() -> Result<()> {
        let large = |byte| Bytes(vec![byte; LARGE]);
        let value = (1u8, large(1), "text".to_string(), vec![large(2), large(3)], vec![9u8; 500]);
        let mut expected = Vec::new();
        encode(&value, &mut expected)?;
        for loans in 0..4_usize {
            let (mut buffer, left) = (Vec::new(), Cell::new(loans));
            let lender = |bytes, _| {
                left.set(left.get().checked_sub(1).ok_or(Error::Full)?);
                Ok(Some(Lent::own(vec![7; bytes])))
            };
            let mut lent = None;
            encode_to(&value, Out::new(&mut buffer, &lender, &mut lent))?;
            let bytes = lent.as_ref().map_or(&buffer[..], Lent::bytes);
            assert!(bytes == expected, "with {loans} loans");
            assert_eq!(decode::<(u8, Bytes, String, Vec<Bytes>, Vec<u8>)>(bytes, &[])?, value);
        }
        Ok(())
    }

    #[test]
    fn what_is_small_is_in_the_buffer() -> Result<()> {
        let mut buffer = Vec::new();
        let lender = |bytes, _| Ok(Some(Lent::own(vec![7; bytes])));
        let mut lent = None;
        encode_to(&Bytes(vec![7; 100]), Out::new(&mut buffer, &lender, &mut lent))?;
        assert!(lent.is_none() && buffer.len() == 101);
        Ok(())
    }
}
