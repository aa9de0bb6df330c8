//! The thread that starts programs.
//!
//! The death signal that ends daemons fires when the *thread* that forked dies, so all forks are
//! done by one thread that lives as long as the context.

use crate::program::Program;
use crate::signals;
use crate::syscalls::os;
use procbox_core::{Error, Result};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError, mpsc};

type Job = Box<dyn FnOnce() + Send>;

/// The thread that forks.
pub(crate) struct Spawner {
    jobs: Mutex<mpsc::Sender<Job>>,
}

impl Spawner {
    pub(crate) fn new() -> Result<Spawner> {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("procbox-spawner".into())
            .spawn(move || {
                // What it forks is not to run this program's handler before it is executed.
                signals::block_answered();
                jobs.into_iter().for_each(|job| job());
            })
            .map_err(|e| os("thread", e))?;
        Ok(Spawner { jobs: Mutex::new(sender) })
    }

    /// Starts a command on the thread.
    pub(crate) fn spawn(&self, program: &Program, mut command: Command) -> Result<Child> {
        let (sender, result) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _ = sender.send(command.spawn());
        });
        let gone = || Error::os("spawner", "its thread is gone");
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.send(job).map_err(|_| gone())?;
        drop(jobs);
        result.recv().map_err(|_| gone())?.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound(program.path().to_path_buf()),
            std::io::ErrorKind::OutOfMemory | std::io::ErrorKind::WouldBlock => {
                Error::Exhausted("processes".into())
            }
            _ => {
                let program = program.path().display().to_string();
                Error::NotRunnable { program, why: e.to_string() }
            }
        })
    }
}
