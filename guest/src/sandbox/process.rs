//! Processes that this process started.

use super::primitives::{Own, numbers};
use super::{identity, sys};
use procbox_abi::{Pointer, Start, code, flag, start};
use procbox_core::raw::{Entry, ProcessSpec, RawProcess};
use procbox_core::runner::find_worker;
use procbox_core::{Bytes, Error, ExitStatus, Input, Output, Result, Wait};
use std::time::Duration;

pub(super) struct GuestProcess {
    own: Own,
    pid: u32,
}

impl GuestProcess {
    /// The number that the host knows it by.
    pub(super) fn number(&self) -> i32 {
        self.own.0
    }
}

/// Address and length of a text, for the host.
fn place(text: &str) -> (Pointer, u32) {
    (text.as_ptr().expose_provenance() as Pointer, text.len() as u32)
}

/// Arguments as the host takes them: each with a zero byte behind it.
fn arguments(args: &[Bytes]) -> Result<String> {
    let mut all = String::new();
    for arg in args {
        let text = std::str::from_utf8(arg);
        all += text.map_err(|_| Error::Invalid("an argument is not UTF-8".to_string()))?;
        all.push('\0');
    }
    Ok(all)
}

pub(super) fn start(spec: &ProcessSpec) -> Result<GuestProcess> {
    let outputs = [spec.stdout, spec.stderr];
    if spec.stdin != Input::Null || outputs != [Output::Inherit; 2] {
        return Err(Error::NotGranted("redirect a process's input and output"));
    }
    let (kind, worker) = match &spec.entry {
        Entry::Main(args) => (start::MAIN, arguments(args)?),
        Entry::Call(name) => (start::CALL, name.clone()),
        Entry::Serve(name) => (start::SERVE, name.clone()),
        _ => return Err(Error::Unsupported("such an entry")),
    };
    let daemon = if spec.identity.daemon { flag::DAEMON } else { 0 };
    let (worker_at, worker_len) = place(&worker);
    let (name_at, name_len) = place(&spec.identity.name);
    let request = Start {
        kind,
        worker: worker_at,
        worker_len,
        name: name_at,
        name_len,
        flags: flag::CPU_TIME | daemon,
        timeout: limit(spec.timeout),
        cpu_time: limit(spec.cpu_time),
    };
    match sys::process_start(&request, &spec.message.bytes, &numbers(spec.handles())?) {
        // The host has said no; the names in the error are found here once more.
        code::NO_SUCH_WORKER | code::AMBIGUOUS_WORKER => {
            let workers = identity::workers()?;
            let found = find_worker(&worker, workers.iter().map(|info| info.identity.as_str()));
            let available = || workers.iter().map(|info| info.name.clone()).collect();
            Err(match found {
                Err(why) => why,
                Ok(_) => Error::NoSuchWorker { name: worker, available: available() },
            })
        }
        code::NOT_RUNNABLE => {
            Err(Error::NotRunnable { program: "this program".into(), why: "no main".into() })
        }
        code => {
            let own = Own(sys::check(code)?);
            let pid = sys::check(sys::process_pid(own.0))?;
            Ok(GuestProcess { own, pid: pid as u32 })
        }
    }
}

/// A limit of time as the host takes it, for whom 0 is none.
fn limit(time: Option<Duration>) -> i64 {
    time.map_or(-1, |time| Wait::AtMost(time.max(Duration::from_nanos(1))).to_nanos())
}

impl RawProcess for GuestProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn join(&self, wait: Wait) -> Result<ExitStatus> {
        sys::process_join(self.own.0, wait)
    }

    fn status(&self) -> Option<ExitStatus> {
        sys::process_status(self.own.0)
    }

    fn terminate(&self) -> Result<()> {
        sys::process_terminate(self.own.0);
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        sys::process_kill(self.own.0);
        Ok(())
    }

    fn interrupt(&self) -> Result<()> {
        sys::process_interrupt(self.own.0);
        Ok(())
    }

    fn output(&self) -> Vec<u8> {
        Vec::new()
    }
}
