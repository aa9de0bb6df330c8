//! The inputs of `procbox map`: files, words, or the lines or blocks of a stream, read as they are
//! needed.
//!
//! Stdin is read by a thread of its own, so that results are printed while it is idle: `tail -f`
//! never ends. What it has read waits in a short channel, a block of whole lines at a time (a
//! channel of lines would cost more than the lines), and the pool's bell is rung for each.

use super::command::Command;
use super::joblog::{self, Ended};
use crate::status::say;
use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};
use procbox::types::Bell;
use procbox::{Bytes, Error};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, Cursor, ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
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
    name: Name,
    /// What it is, where that is asked for: a path, a line, the word of a command.
    label: Vec<u8>,
    /// The hash of a line or a block, where there is a log.
    hash: Option<u64>,
    /// How long it is.
    pub(super) bytes: usize,
    /// When it was taken.
    pub(super) taken: SystemTime,
}

/// What messages call an input.
enum Name {
    Path(PathBuf),
    Line,
    Block,
    Command(String),
}

impl Input {
    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match &self.name {
            Name::Path(path) => path.display().to_string(),
            Name::Line => format!("line {}", self.seq),
            Name::Block => format!("block {}", self.seq),
            Name::Command(command) => command.clone(),
        }
    }

    /// What it is called in the log: so that other lines are not taken for these.
    pub(super) fn logged(&self) -> String {
        match self.hash {
            Some(hash) => joblog::with_hash(&self.name(), hash),
            None => self.name(),
        }
    }

    /// What it is, if that was asked for.
    pub(super) fn label(&self) -> &[u8] {
        &self.label
    }

    /// The command that it is the input of.
    pub(super) fn command(&self) -> Option<&str> {
        match &self.name {
            Name::Command(command) => Some(command),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(seq: u64, path: &str, bytes: usize) -> Input {
        let (name, taken) = (Name::Path(path.into()), SystemTime::now());
        Input { seq, name, label: path.into(), hash: None, bytes, taken }
    }
}

/// What is kept of an input beyond its number.
#[derive(Default)]
pub(super) struct Keep {
    /// Its label.
    pub(super) labels: bool,
    /// The hash of one that has no name.
    pub(super) hashes: bool,
    /// The command that it makes.
    pub(super) command: Option<Arc<Command>>,
}

/// The inputs that are under way, by the index that their task has, and those that are no tasks.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Inner>);

#[derive(Default)]
struct Inner {
    keep: Keep,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: Ended,
    under_way: HashMap<usize, Input>,
    given: usize,
    skipped: u64,
    unreadable: u64,
    /// Files that could not be read, until they are asked for.
    unread: Vec<Input>,
    /// Why these inputs are not those of the log.
    refused: Option<Error>,
}

impl Ledger {
    /// One that passes over what has ended before.
    pub(super) fn new(ended: Ended, keep: Keep) -> Ledger {
        let state = Mutex::new(State { ended, ..State::default() });
        Ledger(Arc::new(Inner { keep, state }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An input, named as what it is for says.
    fn input(&self, seq: u64, name: Name, content: &[u8]) -> Input {
        let Keep { labels, hashes, command } = &self.0.keep;
        let hash = *hashes
            && match name {
                Name::Block => true,
                Name::Line => command.is_none(),
                _ => false,
            };
        let hash = hash.then(|| joblog::hash(content));
        let label = match &name {
            _ if !labels => Vec::new(),
            Name::Path(path) => path.as_os_str().as_bytes().to_vec(),
            Name::Block => format!("block {seq}").into_bytes(),
            _ => content.to_vec(),
        };
        let name = match command {
            Some(command) => Name::Command(command.line(seq, content)),
            None => name,
        };
        Input { seq, name, label, hash, bytes: content.len(), taken: SystemTime::now() }
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

    /// Why no more inputs are taken: they are not those of the log.
    pub(super) fn refused(&self) -> Option<Error> {
        self.state().refused.clone()
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

    /// Whether this input may be taken: it is one of those of the log, if there is one.
    fn agrees(&self, input: &Input) -> bool {
        let mut state = self.state();
        let checked = state.ended.check(input.seq, || input.logged());
        state.refused = state.refused.take().or(checked.err());
        state.refused.is_none()
    }

    /// There were so many inputs: as many as the log has, at least.
    fn all(&self, number: u64) {
        let mut state = self.state();
        let checked = state.ended.check_number(number);
        state.refused = state.refused.take().or(checked.err());
    }
}

/// An input as it is taken, with its number.
pub(super) type Taken = (u64, Bytes);

/// The contents of files. One that cannot be read is named on stderr and passed over.
pub(super) fn files(paths: Vec<PathBuf>, ledger: Ledger) -> impl Iterator<Item = Poll<Taken>> {
    (1u64..).zip(paths).filter_map(move |(seq, path)| {
        if ledger.skips(seq) {
            return None;
        }
        let taken = SystemTime::now();
        let read = std::fs::read(&path);
        let content = read.as_ref().map_or(&[][..], |bytes| bytes);
        let input = Input { taken, ..ledger.input(seq, Name::Path(path), content) };
        match read {
            Ok(bytes) => {
                ledger.give(input);
                Some(Poll::Ready((seq, Bytes(bytes))))
            }
            Err(e) => {
                ledger.complain(&input.name(), &e);
                ledger.state().unread.push(input);
                None
            }
        }
    })
}

/// The words of a command line.
pub(super) fn words(words: Vec<OsString>, ledger: Ledger) -> impl Iterator<Item = Poll<Taken>> {
    (1u64..).zip(words).filter_map(move |(seq, word)| {
        if ledger.skips(seq) {
            return None;
        }
        let bytes = word.into_vec();
        ledger.give(ledger.input(seq, Name::Line, &bytes));
        Some(Poll::Ready((seq, Bytes(bytes))))
    })
}

/// How a stream is cut into inputs.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// What ends a line.
    pub(super) end: u8,
    /// The size of a block of whole lines, which is one input; without it each line is one.
    pub(super) block: Option<usize>,
}

/// What a stream is cut into, a line without its end; pending while there is none yet.
///
/// # Errors
/// If there can be no thread for it.
pub(super) fn stream(
    source: impl Read + Send + 'static,
    cut: Cut,
    bell: Bell,
    ledger: Ledger,
) -> std::io::Result<impl Iterator<Item = Poll<Taken>>> {
    let (sender, blocks) = bounded(BLOCKS);
    std::thread::Builder::new().name("procbox-stdin".into()).spawn(move || {
        read_blocks(source, cut, sender, || bell.ring());
    })?;
    Ok(Pieces { blocks, block: Cursor::default(), cut, number: 0, ledger })
}

/// What the reading thread sends: whole lines, of which only the very last may lack its newline.
type Block = std::io::Result<Vec<u8>>;

/// Sends the input on in blocks of whole lines, and rings after each and after the end. Without a
/// size each is sent as soon as it can be had. Ends early when there is nobody to send to.
fn read_blocks(mut input: impl Read, cut: Cut, sender: Sender<Block>, ring: impl Fn()) {
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
                if cut.block.is_some_and(|size| begun.len() < size) {
                    continue;
                }
                // What was there before has no end of a line in it, unless it was to be filled up.
                let from = if cut.block.is_some() { 0 } else { old };
                let Some(last) = begun[from..].iter().rposition(|byte| *byte == cut.end) else {
                    continue;
                };
                let rest = begun.split_off(from + last + 1);
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

/// Cuts what comes into inputs.
struct Pieces {
    blocks: Receiver<Block>,
    block: Cursor<Vec<u8>>,
    cut: Cut,
    number: u64,
    ledger: Ledger,
}

impl Pieces {
    /// The next piece of the block at hand.
    fn next_piece(&mut self) -> Option<Vec<u8>> {
        let mut piece = Vec::new();
        if self.cut.block.is_some() {
            piece = std::mem::take(self.block.get_mut());
            self.number += u64::from(!piece.is_empty());
            return Some(piece).filter(|piece| !piece.is_empty());
        }
        match self.block.read_until(self.cut.end, &mut piece) {
            Ok(0) | Err(_) => return None, // Memory has no errors.
            Ok(_) => {}
        }
        if piece.last() == Some(&self.cut.end) {
            piece.pop();
        }
        self.number += 1;
        Some(piece)
    }
}

impl Iterator for Pieces {
    type Item = Poll<Taken>;

    fn next(&mut self) -> Option<Poll<Taken>> {
        loop {
            while let Some(piece) = self.next_piece() {
                let seq = self.number;
                let name = if self.cut.block.is_some() { Name::Block } else { Name::Line };
                let input = self.ledger.input(seq, name, &piece);
                if !self.ledger.agrees(&input) {
                    return None;
                }
                if self.ledger.skips(seq) {
                    continue;
                }
                self.ledger.give(input);
                return Some(Poll::Ready((seq, Bytes(piece))));
            }
            match self.blocks.try_recv() {
                Ok(Ok(block)) => self.block = Cursor::new(block),
                Ok(Err(e)) => self.ledger.complain("stdin", &e),
                Err(TryRecvError::Empty) => return Some(Poll::Pending),
                Err(TryRecvError::Disconnected) => {
                    self.ledger.all(self.number);
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const LINES: Cut = Cut { end: b'\n', block: None };

    /// Gives these pieces, one a read, then this end.
    struct Reads(Vec<&'static [u8]>, Option<ErrorKind>);

    impl Read for Reads {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return self.1.take().map_or(Ok(0), |kind| Err(kind.into()));
            }
            let piece = self.0.remove(0);
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn lines_of(reads: Reads, ledger: &Ledger) -> (Vec<Vec<u8>>, usize) {
        pieces_of(reads, LINES, ledger)
    }

    fn pieces_of(reads: Reads, cut: Cut, ledger: &Ledger) -> (Vec<Vec<u8>>, usize) {
        let (sender, blocks) = bounded(100);
        let rings = Cell::new(0);
        read_blocks(reads, cut, sender, || rings.set(rings.get() + 1));
        let (block, ledger) = (Cursor::default(), ledger.clone());
        let pieces = Pieces { blocks, block, cut, number: 0, ledger };
        let pieces = pieces.map(|poll| match poll {
            Poll::Ready((_, Bytes(piece))) => piece,
            Poll::Pending => panic!("all was read"),
        });
        (pieces.collect(), rings.get())
    }

    #[test]
    fn blocks_are_of_whole_lines_and_at_least_so_long() {
        let reads = vec![&b"one\ntw"[..], b"o\nthree\nfo", b"ur\nfive\nsix"];
        let cut = Cut { end: b'\n', block: Some(10) };
        let (blocks, _) = pieces_of(Reads(reads, None), cut, &Ledger::default());
        assert_eq!(blocks, [&b"one\ntwo\nthree\n"[..], b"four\nfive\n", b"six"]);
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let pieces = vec![&b"one\ntw"[..], b"o", b"\n", b"\nfour\nfi", b"ve"];
        let (lines, rings) = lines_of(Reads(pieces, None), &Ledger::default());
        assert_eq!(lines, [&b"one"[..], b"two", b"", b"four", b"five"]);
        // The piece that ends no line is not sent; the end is.
        assert_eq!(rings, 5);
    }

    #[test]
    fn a_read_error_ends_the_lines_after_those_before_it() {
        let ledger = Ledger::default();
        let (lines, _) = lines_of(Reads(vec![b"one\ntwo"], Some(ErrorKind::Other)), &ledger);
        assert_eq!((lines, ledger.unreadable()), (vec![b"one".to_vec()], 1));
    }

    #[test]
    fn an_interrupted_read_is_tried_again() {
        let (lines, _) =
            lines_of(Reads(vec![b"one"], Some(ErrorKind::Interrupted)), &Ledger::default());
        assert_eq!(lines, [b"one"]);
    }

    #[test]
    fn lines_are_pending_until_one_is_there() {
        let (sender, blocks) = bounded(1);
        let ledger = Ledger::default();
        let (block, number) = (Cursor::default(), 0);
        let mut lines = Pieces { blocks, block, cut: LINES, number, ledger: ledger.clone() };
        assert!(matches!(lines.next(), Some(Poll::Pending)));
        sender.send(Ok(b"here\n".to_vec())).unwrap();
        assert!(matches!(lines.next(), Some(Poll::Ready((1, Bytes(line)))) if line == b"here"));
        assert!(matches!(lines.next(), Some(Poll::Pending)));
        drop(sender);
        assert!(lines.next().is_none());
        assert_eq!(ledger.take(0).unwrap().name(), "line 1");
    }

    #[test]
    fn what_has_ended_before_is_passed_over_but_counted() {
        let ended = [1, 3].into_iter().collect();
        let ledger = Ledger::new(ended, Keep::default());
        let (lines, _) = lines_of(Reads(vec![b"a\nb\nc\nd\n"], None), &ledger);
        assert_eq!((lines, ledger.skipped()), (vec![b"b".to_vec(), b"d".to_vec()], 2));
        assert_eq!([0, 1].map(|index| ledger.take(index).unwrap().seq), [2, 4]);
    }
}
