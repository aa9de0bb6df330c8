//! The inputs of `procbox map`: files, or the lines of stdin, read as they are needed.

use procbox::Bytes;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::rc::Rc;

/// The names of the inputs that are under way, by the index that their task has.
#[derive(Clone, Default)]
pub(super) struct Names(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    under_way: HashMap<usize, String>,
    given: usize,
    unreadable: u64,
}

impl Names {
    fn give(&self, name: String) {
        let mut state = self.0.borrow_mut();
        let index = state.given;
        state.under_way.insert(index, name);
        state.given += 1;
    }

    /// The name of a task that has ended.
    pub(super) fn take(&self, index: usize) -> String {
        self.0.borrow_mut().under_way.remove(&index).unwrap_or_default()
    }

    /// How many inputs could not be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.0.borrow().unreadable
    }

    fn complain(&self, name: &str, error: &std::io::Error) {
        eprintln!("procbox: {name}: {error}");
        self.0.borrow_mut().unreadable += 1;
    }
}

/// The contents of files. One that cannot be read is named on stderr and passed over.
pub(super) fn files(paths: Vec<PathBuf>, names: Names) -> impl Iterator<Item = Bytes> {
    paths.into_iter().filter_map(move |path| {
        let name = path.display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) => {
                names.give(name);
                Some(Bytes(bytes))
            }
            Err(e) => {
                names.complain(&name, &e);
                None
            }
        }
    })
}

/// The lines of stdin, each without its newline.
pub(super) fn lines(names: Names) -> impl Iterator<Item = Bytes> {
    let mut stdin = std::io::stdin().lock();
    let mut number = 0u64;
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match stdin.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                number += 1;
                names.give(format!("line {number}"));
                Some(Bytes(line))
            }
            Err(e) => {
                names.complain("stdin", &e);
                None
            }
        }
    })
}
