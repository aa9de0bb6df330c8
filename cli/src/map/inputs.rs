//! The inputs of `procbox map`: files, or the lines of stdin, read as they are needed.
//!
//! Stdin is read by a thread of its own, so that results are printed while it is idle: `tail -f`
//! never ends. What it has read waits in a short channel, a block of whole lines at a time (a
//! channel of lines would cost more than the lines), and the pool's bell is rung for each.

use super::joblog::Ended;
use crate::status::say;
use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};
use procbox::Bytes;
use procbox::types::Bell;
use std::collections::HashMap;
use std::io::{BufRead, Cursor, ErrorKind, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::SystemTime;

/// The most that is read from stdin at once: what a pipe holds.
const BLOCK: usize = 64 << 10;
/// The blocks that may wait to become tasks.
const BLOCKS: usize = 4;

/// One input that was taken.
pub(super) struct Input {
    /// Its number among all inputs, from 1 on.
    pub(super) seq: u64,
    /// Its path; a line has only its number.
    path: Option<PathBuf>,
    /// How long it is.
    pub(super) bytes: usize,
    /// When it was taken.
    pub(super) taken: SystemTime,
}

impl Input {
    /// What it is called in messages and in the log.
    pub(super) fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => format!("line {}", self.seq),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(seq: u64, path: &str, bytes: usize) -> Input {
        Input { seq, path: Some(path.into()), bytes, taken: SystemTime::now() }
    }
}

/// The inputs that are under way, by the index that their task has, and those that are no tasks.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    ended: Ended,
    under_way: HashMap<usize, Input>,
    given: usize,
    skipped: u64,
    unreadable: u64,
    /// Files that could not be read, until they are asked for.
    unread: Vec<Input>,
}

impl Ledger {
    /// One that passes over what has ended before.
    pub(super) fn new(ended: Ended) -> Ledger {
        Ledger(Arc::new(Mutex::new(State { ended, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, input: Input) {
        let mut state = self.state();
        let index = state.given;
        state.under_way.insert(index, input);
        state.given += 1;
    }

    /// The input of a task that has ended.
    pub(super) fn take(&self, index: usize) -> Option<Input> {
        self.state().under_way.remove(&index)
    }

    /// The name of the input of a task that is under way. The pool counts tasks as inputs are given.
    pub(super) fn name(&self, task: u64) -> Option<String> {
        let index = usize::try_from(task).ok()?;
        self.state().under_way.get(&index).map(Input::name)
    }

    /// How many inputs could not be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.state().unreadable
    }

    /// How many inputs were passed over.
    pub(super) fn skipped(&self) -> u64 {
        self.state().skipped
    }

    /// The files that could not be read since this was last asked.
    pub(super) fn unread(&self) -> Vec<Input> {
        std::mem::take(&mut self.state().unread)
    }

    fn complain(&self, name: &str, error: &std::io::Error) {
        say(&format!("{name}: {error}"));
        self.state().unreadable += 1;
    }

    /// Whether the input of this number was done by an earlier run.
    fn skips(&self, seq: u64) -> bool {
        let mut state = self.state();
        let skip = state.ended.skips(seq);
        state.skipped += u64::from(skip);
        skip
    }
}

/// The contents of files. One that cannot be read is named on stderr and passed over.
pub(super) fn files(paths: Vec<PathBuf>, ledger: Ledger) -> impl Iterator<Item = Poll<Bytes>> {
    (1u64..).zip(paths).filter_map(move |(seq, path)| {
        if ledger.skips(seq) {
            return None;
        }
        let taken = SystemTime::now();
        let read = std::fs::read(&path);
        let bytes = read.as_ref().map_or(0, Vec::len);
        let input = Input { seq, path: Some(path), bytes, taken };
        match read {
            Ok(bytes) => {
                ledger.give(input);
                Some(Poll::Ready(Bytes(bytes)))
            }
            Err(e) => {
                ledger.complain(&input.name(), &e);
                ledger.state().unread.push(input);
                None
            }
        }
    })
}

/// What each input that ends with this byte is, without it; pending while there is none yet.
///
/// # Errors
/// If there can be no thread for it.
pub(super) fn lines(
    source: impl Read + Send + 'static,
    end: u8,
    bell: Bell,
    ledger: Ledger,
) -> std::io::Result<impl Iterator<Item = Poll<Bytes>>> {
    let (sender, blocks) = bounded(BLOCKS);
    std::thread::Builder::new().name("procbox-stdin".into()).spawn(move || {
        read_blocks(source, end, sender, || bell.ring());
    })?;
    Ok(Lines { blocks, block: Cursor::default(), end, number: 0, ledger })
}

/// What the reading thread sends: whole lines, of which only the very last may lack its newline.
type Block = std::io::Result<Vec<u8>>;

/// Sends the input on in blocks of whole lines, each as soon as it can be had, and rings after each
/// and after the end. Ends early when there is nobody to send to.
fn read_blocks(mut input: impl Read, end: u8, sender: Sender<Block>, ring: impl Fn()) {
    let mut begun = Vec::new();
    loop {
        let old = begun.len();
        begun.resize(old + BLOCK, 0);
        let read = input.read(&mut begun[old..]);
        begun.truncate(old + *read.as_ref().unwrap_or(&0));
        let block = match read {
            Ok(0) if begun.is_empty() => break,
            Ok(0) => Ok(std::mem::take(&mut begun)),
            Ok(_) => {
                let Some(last) = begun[old..].iter().rposition(|byte| *byte == end) else {
                    continue;
                };
                let rest = begun.split_off(old + last + 1);
                Ok(std::mem::replace(&mut begun, rest))
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => Err(e),
        };
        let is_last = block.is_err();
        if sender.send(block).is_err() || is_last {
            break;
        }
        ring();
    }
    drop(sender);
    ring();
}

/// Cuts blocks into lines.
struct Lines {
    blocks: Receiver<Block>,
    block: Cursor<Vec<u8>>,
    end: u8,
    number: u64,
    ledger: Ledger,
}

impl Lines {
    /// The next line of the block at hand.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        match self.block.read_until(self.end, &mut line) {
            Ok(0) | Err(_) => return None, // Memory has no errors.
            Ok(_) => {}
        }
        if line.last() == Some(&self.end) {
            line.pop();
        }
        self.number += 1;
        Some(line)
    }
}

impl Iterator for Lines {
    type Item = Poll<Bytes>;

    fn next(&mut self) -> Option<Poll<Bytes>> {
        loop {
            while let Some(line) = self.next_line() {
                let (seq, bytes) = (self.number, line.len());
                if self.ledger.skips(seq) {
                    continue;
                }
                self.ledger.give(Input { seq, path: None, bytes, taken: SystemTime::now() });
                return Some(Poll::Ready(Bytes(line)));
            }
            match self.blocks.try_recv() {
                Ok(Ok(block)) => self.block = Cursor::new(block),
                Ok(Err(e)) => self.ledger.complain("stdin", &e),
                Err(TryRecvError::Empty) => return Some(Poll::Pending),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Gives these pieces, one a read, then this end.
    struct Pieces(Vec<&'static [u8]>, Option<ErrorKind>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return self.1.take().map_or(Ok(0), |kind| Err(kind.into()));
            }
            let piece = self.0.remove(0);
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn lines_of(pieces: Pieces, ledger: &Ledger) -> (Vec<Vec<u8>>, usize) {
        let (sender, blocks) = bounded(100);
        let rings = Cell::new(0);
        read_blocks(pieces, b'\n', sender, || rings.set(rings.get() + 1));
        let (block, end, ledger) = (Cursor::default(), b'\n', ledger.clone());
        let lines = Lines { blocks, block, end, number: 0, ledger };
        let lines = lines.map(|poll| match poll {
            Poll::Ready(Bytes(line)) => line,
            Poll::Pending => panic!("all was read"),
        });
        (lines.collect(), rings.get())
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let pieces = vec![&b"one\ntw"[..], b"o", b"\n", b"\nfour\nfi", b"ve"];
        let (lines, rings) = lines_of(Pieces(pieces, None), &Ledger::default());
        assert_eq!(lines, [&b"one"[..], b"two", b"", b"four", b"five"]);
        // The piece that ends no line is not sent; the end is.
        assert_eq!(rings, 5);
    }

    #[test]
    fn a_read_error_ends_the_lines_after_those_before_it() {
        let ledger = Ledger::default();
        let (lines, _) = lines_of(Pieces(vec![b"one\ntwo"], Some(ErrorKind::Other)), &ledger);
        assert_eq!((lines, ledger.unreadable()), (vec![b"one".to_vec()], 1));
    }

    #[test]
    fn an_interrupted_read_is_tried_again() {
        let (lines, _) =
            lines_of(Pieces(vec![b"one"], Some(ErrorKind::Interrupted)), &Ledger::default());
        assert_eq!(lines, [b"one"]);
    }

    #[test]
    fn lines_are_pending_until_one_is_there() {
        let (sender, blocks) = bounded(1);
        let ledger = Ledger::default();
        let mut lines = Lines {
            blocks,
            block: Cursor::default(),
            end: b'\n',
            number: 0,
            ledger: ledger.clone(),
        };
        assert!(matches!(lines.next(), Some(Poll::Pending)));
        sender.send(Ok(b"here\n".to_vec())).unwrap();
        assert!(matches!(lines.next(), Some(Poll::Ready(Bytes(line))) if line == b"here"));
        assert!(matches!(lines.next(), Some(Poll::Pending)));
        drop(sender);
        assert!(lines.next().is_none());
        assert_eq!(ledger.take(0).unwrap().name(), "line 1");
    }

    #[test]
    fn what_has_ended_before_is_passed_over_but_counted() {
        let ended = [1, 3].into_iter().collect();
        let ledger = Ledger::new(ended);
        let (lines, _) = lines_of(Pieces(vec![b"a\nb\nc\nd\n"], None), &ledger);
        assert_eq!((lines, ledger.skipped()), (vec![b"b".to_vec(), b"d".to_vec()], 2));
        assert_eq!([0, 1].map(|index| ledger.take(index).unwrap().seq), [2, 4]);
    }
}
