//! Two workers append to one file, each line in pieces. One takes the lock with a guard, the other
//! with acquire and release. No line has anything of the other's in it.
//!
//! The file is made in the directory that the variable `TOUR_DIR` names, or else in the current one.
//! In the sandbox that has to be granted (`procbox run --dir . tour.wasm lock`); without it a queue of
//! words stands for the file: what the lock is for is the same.

use crate::Shown;
use procbox_guest::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::yield_now;

const LINES: usize = 20;

/// What the lines go to. A handle travels inside an enum as it does anywhere.
#[derive(Serialize, Deserialize)]
enum Page {
    File(PathBuf),
    Queue(Queue<String>),
}

impl Page {
    fn open(ctx: &Context, path: &Path) -> Result<Page> {
        match std::fs::write(path, "") {
            Ok(()) => Ok(Page::File(path.to_path_buf())),
            Err(_) => Ok(Page::Queue(ctx.unbounded_queue()?)),
        }
    }

    /// A line in as many writes as it has words.
    fn write_line(&self, who: &str) -> anyhow::Result<()> {
        for word in [who, " was", " here", "\n"] {
            match self {
                Page::File(path) => {
                    OpenOptions::new().append(true).open(path)?.write_all(word.as_bytes())?;
                }
                Page::Queue(words) => words.put(word)?,
            }
            yield_now();
        }
        Ok(())
    }

    fn read(&self) -> anyhow::Result<String> {
        match self {
            Page::File(path) => {
                let text = std::fs::read_to_string(path)?;
                std::fs::remove_file(path)?;
                Ok(text)
            }
            Page::Queue(words) => Ok(std::iter::from_fn(|| words.try_get().ok()).collect()),
        }
    }
}

#[worker]
fn writes_with_a_guard(lock: Lock, page: Page) -> anyhow::Result<()> {
    for _ in 0..LINES {
        let _guard = lock.lock()?;
        page.write_line("guard")?;
    }
    Ok(())
}

#[worker]
fn writes_with_acquire_and_release(lock: Lock, page: Page) -> anyhow::Result<()> {
    for _ in 0..LINES {
        let acquired = lock.acquire()?;
        anyhow::ensure!(!acquired.owner_died, "the other died in the middle of a line");
        let written = page.write_line("acquire");
        lock.release()?;
        written?;
    }
    Ok(())
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let directory = std::env::var_os("TOUR_DIR").map_or_else(|| ".".into(), PathBuf::from);
    let name = format!("procbox-tour-{}.txt", ctx.current_process().pid);
    let page = Page::open(ctx, &directory.join(name))?;
    let lock = ctx.lock()?;
    let guard = ctx.process(writes_with_a_guard).args((&lock, &page)).start()?;
    let acquire = ctx.process(writes_with_acquire_and_release).args((&lock, &page)).start()?;
    println!("main: one worker {}", guard.join()?);
    println!("main: the other {}", acquire.join()?);
    let text = page.read()?;
    let of = |who: &str| text.lines().filter(|line| *line == format!("{who} was here")).count();
    println!("main: {} lines are whole, of {}", of("guard") + of("acquire"), text.lines().count());
    Ok(())
}
