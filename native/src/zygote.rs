//! The zygote: the program, executed once, that forks a process for each start.
//!
//! It has one thread and holds no lock when it forks, so the fork is safe, quick (it is small) and
//! the same each time. The new process is the child of the zygote's parent. The request is a slot
//! of the process table, where the parent has put the rest; docs/native.md has the protocol.

use crate::arena::Arena;
use crate::object;
use crate::sync::robust;
use crate::sys::{self, Fork};
use crate::{WORKERS, WorkerEntry, context, interrupt};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send};
use procbox_core::runner::find_worker;
use procbox_core::{Bytes, Call, Error, Function, Identity, Message, Result, TaskEnd, serve};
use std::any::Any;
use std::ffi::CString;
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The variable that makes a program a zygote: its socket and its arena.
pub(crate) const ENVIRONMENT: &str = "PROCBOX_ZYGOTE";
pub(crate) const HAS_STDIN: u32 = 1;
pub(crate) const HAS_STDOUT: u32 = 2;

/// What a process is to do: the worker's name, whether it serves a pool, who the process is, the
/// message's bytes and the offsets of its handles, and whether it answers Ctrl-C.
pub(crate) type Request = (String, bool, Identity, Bytes, Vec<u64>, bool);

/// Becomes a zygote if the environment says so; the zygote does not come back.
pub(crate) fn enter() {
    let Ok(value) = std::env::var(ENVIRONMENT) else { return };
    sys::remove_env(ENVIRONMENT);
    let fds = value.split_once(',').and_then(|(socket, arena)| {
        Some((socket.parse::<RawFd>().ok()?, arena.parse::<RawFd>().ok()?))
    });
    let Some((socket, arena)) = fds.filter(|(socket, arena)| socket != arena) else {
        eprintln!("error: {ENVIRONMENT}={value} is not what procbox sets");
        sys::exit_now(2);
    };
    let code = match run(sys::own(socket), sys::own(arena)) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("error: procbox's zygote: {e}");
            1
        }
    };
    sys::exit_now(code);
}

fn run(socket: OwnedFd, arena: OwnedFd) -> Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    for fd in [&socket, &arena] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|e| Error::os("fcntl", e))?;
    }
    let arena = Arena::attach(arena)?;
    // Ctrl-C goes to the whole group; the parent decides what becomes of it.
    sys::hold_interrupts();
    let _ = prctl::set_name(c"procbox-zygote");
    robust::before_fork();
    warm_up();
    reply(&socket, 0)?;
    while let Some((slot, stdin, stdout)) = next_request(&socket)? {
        match sys::fork_sibling() {
            Ok(Fork::Child) => {
                drop(socket);
                work(arena, slot, stdin, stdout);
            }
            Ok(Fork::Parent(pid)) => reply(&socket, pid.into())?,
            Err(e) => reply(&socket, -i64::from(e.raw_os_error().unwrap_or(1)))?,
        }
    }
    Ok(())
}

/// Does once what each process would do first: symbols are looked up, thread-locals and the
/// standard output are set up. Each page that a process need not touch saves it a fault.
fn warm_up() {
    let nobody = Identity {
        name: String::new(),
        pid: 0,
        daemon: false,
        authkey: Bytes::default(),
        parent: None,
    };
    let request: Request = (String::new(), false, nobody, Bytes::default(), Vec::new(), false);
    let decoded = Message::of(&request).and_then(|message| message.value::<Request>());
    let _ = catch_unwind(|| std::hint::black_box(decoded).is_ok());
    let _ = std::io::stdout().flush();
    context::leave();
}

fn reply(socket: &OwnedFd, value: i64) -> Result<()> {
    match send(socket.as_raw_fd(), &value.to_ne_bytes(), MsgFlags::MSG_NOSIGNAL) {
        // A parent that is gone is found out by the next request that does not come.
        Ok(_) | Err(nix::errno::Errno::EPIPE) => Ok(()),
        Err(e) => Err(Error::os("send", e)),
    }
}

/// A slot, a standard input and a standard output.
type Start = (u32, Option<OwnedFd>, Option<OwnedFd>);

/// The next slot with the descriptors sent along; `None` when the parent is gone.
fn next_request(socket: &OwnedFd) -> Result<Option<Start>> {
    let mut request = [0; 8];
    let mut bytes = [IoSliceMut::new(&mut request)];
    let mut control = nix::cmsg_space!([RawFd; 2]);
    let received = loop {
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut bytes, Some(&mut control), flags) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(nix::errno::Errno::ECONNRESET) => return Ok(None),
            other => break other.map_err(|e| Error::os("recvmsg", e))?,
        }
    };
    let mut fds = Vec::new();
    for message in received.cmsgs().map_err(|e| Error::os("recvmsg", e))? {
        if let ControlMessageOwned::ScmRights(rights) = message {
            fds.extend(rights.into_iter().map(sys::own));
        }
    }
    if received.bytes != request.len() {
        return Ok(None);
    }
    let request = u64::from_ne_bytes(request);
    let flags = (request >> 32) as u32;
    let mut fds = fds.into_iter();
    let stdin = if flags & HAS_STDIN != 0 { fds.next() } else { None };
    let stdout = if flags & HAS_STDOUT != 0 { fds.next() } else { None };
    Ok(Some((request as u32, stdin, stdout)))
}

/// In the new process: everything, to the end.
fn work(arena: Arc<Arena>, slot: u32, stdin: Option<OwnedFd>, stdout: Option<OwnedFd>) -> ! {
    robust::after_fork();
    let code = match begin(&arena, slot, stdin, stdout) {
        Ok((entry, serves, message)) => call(entry, serves, message),
        Err(e) => {
            complain(&e.to_string());
            1
        }
    };
    // Joins the processes that this one started; a panic of a destructor must not skip the exit.
    let left = catch_unwind(context::leave);
    let _ = std::io::stdout().flush();
    sys::exit_now(if left.is_err() && code == 0 { 101 } else { code });
}

fn begin(
    arena: &Arc<Arena>,
    slot: u32,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
) -> Result<(&'static WorkerEntry, bool, Message)> {
    if let Some(fd) = stdin {
        nix::unistd::dup2_stdin(fd).map_err(|e| Error::os("dup2", e))?;
    }
    if let Some(fd) = stdout {
        nix::unistd::dup2_stdout(fd).map_err(|e| Error::os("dup2", e))?;
    }
    let spec = Message { bytes: arena.enter_slot(slot)?, handles: Vec::new() };
    let (name, serves, identity, bytes, offsets, answers_ctrl_c): Request = spec.value()?;
    if identity.daemon {
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| Error::os("prctl", e))?;
        let parent = nix::unistd::getppid().as_raw() as u32;
        if identity.parent.as_ref().is_some_and(|(pid, _)| *pid != parent) {
            sys::exit_now(1);
        }
    } else {
        sys::watch_parent(identity.parent.as_ref().map(|(pid, _)| *pid));
    }
    sys::reset_signals(answers_ctrl_c, interrupt::requested);
    if let Ok(name) = CString::new(identity.name.as_str()) {
        let _ = prctl::set_name(&name);
    }
    let given = arena.given();
    let handle = |offset| given.get(offset).cloned().and_then(object::handle);
    let handles = offsets.iter().map(handle).collect::<Option<Vec<_>>>();
    let handles = handles.ok_or(Error::ForeignHandle)?;
    context::inherit(arena.clone(), Identity { pid: std::process::id(), ..identity });
    let entry = find(&name)?;
    Ok((entry, serves, Message { bytes: bytes.0, handles }))
}

fn find(name: &str) -> Result<&'static WorkerEntry> {
    find_worker(name, WORKERS.iter().map(|entry| entry.name)).map(|index| &WORKERS[index])
}

/// Runs the worker; the process's exit code.
fn call(entry: &WorkerEntry, serves: bool, message: Message) -> i32 {
    let ended = catch_unwind(AssertUnwindSafe(|| {
        if serves {
            let find = |name: &str| find(name).map(|entry| entry.function);
            serve(message, entry.function, &find, guarded).map_err(|e| e.to_string())
        } else {
            let Message { bytes, handles } = message;
            (entry.function)(Call::new(&bytes, handles), &mut Message::default())
        }
    }));
    match ended {
        Ok(Ok(())) => 0,
        Ok(Err(e)) => {
            complain(&e.to_string());
            1
        }
        // The panic hook has printed the message.
        Err(_) => 101,
    }
}

fn guarded(function: Function, arguments: Call<'_>, result: &mut Message) -> TaskEnd {
    match catch_unwind(AssertUnwindSafe(|| function(arguments, result))) {
        Ok(Ok(())) => TaskEnd::Done,
        Ok(Err(why)) => TaskEnd::Failed(why),
        Err(payload) => TaskEnd::Panicked(panic_message(&*payload)),
    }
}

/// Says why the process fails, in one write: others print there too.
fn complain(why: &str) {
    // If stderr is gone there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("error: {why}\n").as_bytes());
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".into())
}
