//! Processes that this process started, and what it knows of itself.

use super::primitives::{Own, handles, numbers};
use super::sys::{self, About, Start};
use procbox_core::{
    Bytes, Entry, Error, ExitStatus, Identity, Input, Message, Output, ProcessSpec, RawProcess,
    Result, Wait, WorkerInfo,
};
use std::any::Any;
use std::time::Duration;

const KIND_MAIN: u32 = 0;
const KIND_CALL: u32 = 1;
const KIND_SERVE: u32 = 2;
const FLAG_DAEMON: u32 = 1;
const FLAG_CPU_TIME: u32 = 2;

pub(super) struct GuestProcess {
    own: Own,
    pid: u32,
}

pub(super) fn number(raw: &dyn RawProcess) -> Result<i32> {
    let own: Option<&GuestProcess> = (raw as &dyn Any).downcast_ref();
    own.map(|own| own.own.0).ok_or(Error::ForeignHandle)
}

pub(super) fn start(spec: &ProcessSpec) -> Result<GuestProcess> {
    if spec.stdin != Input::Inherit || spec.stdout != Output::Inherit {
        return Err(Error::NotGranted("redirect a process's input and output"));
    }
    let (kind, worker) = match &spec.entry {
        Entry::Main(args) => (KIND_MAIN, args.iter().map(|arg| format!("{arg}\0")).collect()),
        Entry::Call(name) => (KIND_CALL, name.clone()),
        Entry::Serve(name) => (KIND_SERVE, name.clone()),
    };
    let name = &spec.identity.name;
    let request = Start {
        kind,
        worker: worker.as_ptr(),
        worker_len: worker.len() as u32,
        name: name.as_ptr(),
        name_len: name.len() as u32,
        flags: FLAG_CPU_TIME | if spec.identity.daemon { FLAG_DAEMON } else { 0 },
        timeout: limit(spec.timeout),
        cpu_time: limit(spec.cpu_time),
    };
    match sys::process_start(&request, &spec.message.bytes, &numbers(spec.handles())?) {
        -11 => Err(Error::NoSuchWorker {
            name: worker,
            available: workers()?.into_iter().map(|w| w.name).collect(),
        }),
        -17 => Err(Error::NotRunnable { program: "this program".into(), why: "no main".into() }),
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

    fn terminate(&self) {
        sys::process_terminate(self.own.0);
    }

    fn kill(&self) {
        sys::process_kill(self.own.0);
    }

    fn interrupt(&self) {
        sys::process_interrupt(self.own.0);
    }

    fn output(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// The arguments that this process was started with.
pub(super) fn arguments() -> Result<Message> {
    let sizes = sys::about(About::Arguments)?;
    let mut bytes = Vec::new();
    let list = sys::message_read(sizes, &mut bytes)?;
    Ok(Message { bytes, handles: handles(list)? })
}

fn read(what: About) -> Result<Vec<u8>> {
    let sizes = sys::about(what)?;
    let mut bytes = Vec::new();
    sys::message_read(sizes, &mut bytes)?;
    Ok(bytes)
}

/// Who this process is: six numbers (pid, parent's pid, daemon, and the lengths of what follows),
/// then name, parent's name and authkey.
pub(super) fn identity() -> Result<Identity> {
    let torn = || Error::Invalid("the host's answer is too short".into());
    let bytes = read(About::Identity)?;
    let (numbers, mut rest) = bytes.split_first_chunk::<24>().ok_or_else(torn)?;
    let at = |i: usize| {
        u32::from_le_bytes([
            numbers[4 * i],
            numbers[4 * i + 1],
            numbers[4 * i + 2],
            numbers[4 * i + 3],
        ])
    };
    let mut take = |n: u32| {
        let (taken, after) = rest.split_at_checked(n as usize).ok_or_else(torn)?;
        rest = after;
        Ok::<Vec<u8>, Error>(taken.to_vec())
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let name = text(take(at(3))?);
    let parent_name = text(take(at(4))?);
    let authkey = Bytes(take(at(5))?);
    let parent = (at(1) != 0).then(|| (at(1), parent_name));
    Ok(Identity { name, pid: at(0), daemon: at(2) != 0, authkey, parent })
}

pub(super) fn workers() -> Result<Vec<WorkerInfo>> {
    let text = String::from_utf8_lossy(&read(About::Workers)?).into_owned();
    let worker = |line: &str| {
        let (name, signature) = line.split_once('\t').unwrap_or((line, ""));
        let signature = (!signature.is_empty()).then(|| signature.to_string());
        WorkerInfo { name: name.to_string(), signature }
    };
    Ok(text.lines().map(worker).collect())
}
