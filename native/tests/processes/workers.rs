//! The workers that the cases start. `#[worker]` writes what `worker!` does here.

use procbox_core::raw::{Handle, Message, RawLock};
use procbox_core::runner::{Call, Outcome, end_of_result};
use procbox_core::{Bytes, Error, Event, Lock, Pipe, Queue, Result, Semaphore, Worker};
use procbox_native::linkme::distributed_slice;
use procbox_native::{WORKERS, WorkerEntry};
use std::sync::Arc;

macro_rules! worker {
    ($name:ident($($arg:ident: $type:ty),*) $body:block) => {
        pub(crate) mod $name {
            use super::*;
            /// The worker, with the types of its arguments.
            #[allow(dead_code, reason = "those without arguments are started by name")]
            pub(crate) fn worker() -> Worker<($($type,)*), (), ()> {
                Worker::new(stringify!($name), ())
            }
            const LINE: &str = concat!(stringify!($name), "\tfn\n");
            // SAFETY: the section is read from the file only; any bytes may stand in it.
            #[unsafe(link_section = procbox_abi::section!())]
            static ABOUT: [u8; LINE.len()] = {
                let mut bytes = [0; LINE.len()];
                bytes.copy_from_slice(LINE.as_bytes());
                bytes
            };
            #[distributed_slice(WORKERS)]
            #[linkme(crate = procbox_native::linkme)]
            static ENTRY: WorkerEntry =
                WorkerEntry { name: stringify!($name), about: &ABOUT, function: run };
            fn run(call: Call<'_>, result: &mut Message) -> Outcome {
                let ($($arg,)*): ($($type,)*) = call.arguments()?;
                end_of_result(body($($arg),*), result)
            }
            #[allow(clippy::too_many_arguments, reason = "a worker takes what its case has")]
            fn body($($arg: $type),*) -> Result<()> $body
        }
    };
}

worker! { nothing() { Ok(()) } }

/// A lock, as the backend has it.
pub(crate) fn raw(lock: &Lock) -> Result<Arc<dyn RawLock>> {
    match Message::of(lock)?.handles.pop() {
        Some(Handle::Lock(raw)) => Ok(raw),
        _ => Err(Error::Closed),
    }
}

// Has a lock for somebody else, until it is killed.
worker! { has_for_another(lock: Lock, held: Event) {
    let _ = super::raw(&lock)?.acquire_for()?;
    held.set();
    loop {
        std::thread::park();
    }
} }
worker! { exits(code: i32) { std::process::exit(code) } }
worker! { takes(number: u64) { std::hint::black_box(number); Ok(()) } }
worker! { answers(to: Queue<(u64, u64)>, number: u64) { to.put(&(number, number * 3)) } }
worker! { breeds(done: Queue<u64>) {
    let ctx = procbox_native::context()?;
    let answers = ctx.queue::<(u64, u64)>(1)?;
    for number in 0.. {
        let p = ctx.process(answers::worker()).args((&answers, number)).start()?;
        let code = p.join()?.exitcode();
        let answer = answers.try_get();
        if code != 0 || answer != Ok((number, number * 3)) {
            return Err(procbox_core::Error::Invalid(format!("{number}: {code}, {answer:?}")));
        }
        // Full: it was told often enough.
        let _ = done.try_put(&number);
    }
    Ok(())
} }
worker! { makes_circles(made: Queue<u32>) {
    let ctx = procbox_native::context()?;
    for number in 0.. {
        crate::space::circle(&ctx, number)?;
        // Full: it was told often enough.
        let _ = made.try_put(&number);
    }
    Ok(())
} }
worker! { relays(passed: Queue<u64>, begun: Event, number: u64) {
    begun.set();
    let ctx = procbox_native::context()?;
    let next = ctx.event()?;
    ctx.process(worker()).args((&passed, &next, number + 1)).start()?;
    // What has not begun when its parent ends does not begin.
    next.wait()?;
    // Full: it was told often enough.
    let _ = passed.try_put(&number);
    // SAFETY: it has no preconditions. What it has started nobody joins then.
    unsafe { nix::libc::_exit(0) }
} }
worker! { begins_a_relay(passed: Queue<u64>, never: Event) {
    let ctx = procbox_native::context()?;
    ctx.process(relays::worker()).args((&passed, &ctx.event()?, 0u64)).start()?;
    never.wait().map(drop)
} }
worker! { keeps_a_queue(queue: Queue<u32>, started: Event, go: Event) {
    started.set();
    go.wait()?;
    // Behind itself, which is in there.
    queue.put(&1)
} }
worker! { works_on(
    large: Queue<Vec<u8>>, handles: Queue<Vec<Event>>, permits: Semaphore, events: Vec<Event>
) {
    let tried = |result: Result<()>| match result {
        Ok(()) | Err(Error::Full | Error::Empty | Error::TimedOut) => Ok(()),
        Err(e) => Err(e),
    };
    let one_mebibyte = vec![7u8; 1 << 20];
    loop {
        tried(large.try_put(&one_mebibyte))?;
        tried(handles.try_put(&events))?;
        tried(permits.try_permit().map(drop))?;
        if large.is_full() {
            tried(large.try_get().map(drop))?;
        }
        if handles.is_full() {
            tried(handles.try_get().map(drop))?;
        }
    }
} }
worker! { forwards_one(from: Queue<Bytes>, to: Queue<Bytes>) { to.put(&from.get()?) } }
worker! { produces_numbered(out: Queue<(u64, u64, Bytes)>, who: u64) {
    (0..).try_for_each(|number| out.put(&(who, number, crate::storm::payload(who, number))))
} }
worker! { consumes_and_acks(feed: Queue<u64>, acks: Queue<u64>) {
    loop {
        acks.put(&feed.get()?)?;
    }
} }
worker! { holds_and_carries(lock: Lock, permits: Semaphore, carry: Queue<Event>) {
    let ctx = procbox_native::context()?;
    loop {
        let guard = lock.lock()?;
        let permit = permits.permit()?;
        drop(guard);
        let event = ctx.event()?;
        // Full or empty: others are quicker.
        let _ = carry.try_put(&event);
        drop(permit);
        let _ = carry.try_get().map(|event| event.set());
    }
} }
worker! { contends(lock: Lock, permits: Semaphore, ledgers: crate::walk::Ledgers) {
    loop {
        drop(ledgers.0.write()?);
        ledgers.1.notify(0)?;
        drop(lock.lock()?);
        drop(permits.permit()?);
        std::thread::yield_now();
    }
} }
worker! { walked(
    operation: String, q: Queue<Bytes>, carry: Queue<Event>, lock: Lock, permits: Semaphore,
    event: Event, pipe: Pipe<Bytes>, ledgers: crate::walk::Ledgers
) {
    let (shared, condition, items, barrier) = ledgers;
    use crate::walk::{APART, BRIEF, LARGE};
    use nix::sys::signal::{Signal, raise};
    let ctx = procbox_native::context()?;
    let (small, eight) = (Bytes(vec![7; 100]), Bytes(vec![7; 8]));
    let (large, apart) = (Bytes(vec![7; LARGE]), Bytes(vec![7; APART]));
    let extra = ctx.event()?;
    let stops = |signal| raise(signal).map_err(|e| Error::os("raise", e));
    // Warm: what is done once per process is not what is walked through.
    drop(lock.lock()?);
    let dropped = (ctx.queue::<u32>(1)?, ctx.pipe::<u32>()?, ctx.event()?);
    let circle = ctx.queue::<u32>(4)?;
    // Tried, not propagated: what the operation comes to the neighbours see.
    stops(Signal::SIGSTOP)?;
    match &*operation {
        "put" => drop(q.put(&small)),
        "put_large" => drop(q.put(&large)),
        "put_handle" => drop(carry.put(&extra)),
        "put_full" => drop(q.put_timeout(&eight, BRIEF)),
        "get" | "get_large" | "get_apart" => drop(q.get()),
        "put_apart" => drop(q.put(&apart)),
        "loan" => {
            let mut loan = q.loan(APART)?;
            loan.copy_from_slice(&apart);
            drop(loan.put());
        }
        "get_loaned" => drop(q.get_loaned()),
        "drop_loan" => drop(q.loan(APART)),
        "get_handle" => drop(carry.get()),
        "get_empty" => drop(q.get_timeout(BRIEF)),
        "lock" => drop(lock.lock()?),
        "lock_held" => (0..20).for_each(|_| drop(lock.lock_timeout(BRIEF))),
        "permit" => drop(permits.permit()?),
        "permit_none" => {
            let all: Vec<_> = (0..3).map(|_| permits.permit_timeout(BRIEF)).collect();
            drop(all);
        }
        "set" => event.set(),
        "wait" => drop(event.wait_timeout(BRIEF)),
        "read" => drop((shared.read(), shared.read_timeout(BRIEF))),
        "write" => drop(shared.write()),
        "write_waits" => {
            let _reader = shared.read();
            drop(shared.write_timeout(BRIEF));
        }
        "condition" => {
            let guard = condition.lock()?;
            drop(condition.wait_timeout(guard, BRIEF));
        }
        "put_item" => drop(items.put(&7)),
        "take_item" => {
            drop(items.get());
            drop(items.task_done());
        }
        "pass" => drop(barrier.wait_timeout(BRIEF)),
        "send" => drop(pipe.send(&small)),
        "recv" => drop(pipe.recv()),
        "recv_empty" => drop(pipe.recv_timeout(BRIEF)),
        "create" => drop((ctx.queue::<u32>(1)?, ctx.pipe::<u32>()?, ctx.semaphore(1)?, ctx.lock()?)),
        "drop" => drop(dropped),
        "circle" => {
            crate::space::put_into_itself(&circle)?;
            drop(circle);
        }
        "start" => drop(ctx.process(super::nothing::worker()).start()?.join()),
        _ => return Err(Error::Invalid(operation)),
    }
    stops(Signal::SIGUSR2)
} }
worker! { keeps_blocks(q: Queue<Bytes>, done: Event) {
    let large = Bytes(vec![7; 3 << 20]);
    (0..8).try_for_each(|_| q.put(&large))?;
    (0..8).try_for_each(|_| q.get().map(drop))?;
    done.set();
    loop {
        // It goes on using one of them, so that all are kept.
        q.put(&large)?;
        q.get()?;
    }
} }
worker! { holds_in_place(q: Queue<Bytes>, held: Event) {
    let read = (0..4).map(|_| q.get_loaned()).collect::<Result<Vec<_>>>()?;
    let written = (0..4).map(|_| q.loan(300_000)).collect::<Result<Vec<_>>>()?;
    held.set();
    let (_kept, _also) = (read, written);
    loop {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
} }
worker! { ignores_its_limit() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed.
    let _ = unsafe { signal(Signal::SIGXCPU, SigHandler::SigIgn) };
    loop {
        std::hint::spin_loop();
    }
} }
worker! { prints(text: String) { print!("{text}"); Ok(()) } }
worker! { copies() {
    std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).map(drop)
        .map_err(|e| procbox_core::Error::os("copy", e))
} }
worker! { waits_for(event: Event) { event.wait().map(drop) } }
worker! { holds_lock(lock: Lock, held: Event, forever: Event) {
    let _guard = lock.lock()?;
    held.set();
    forever.wait().map(drop)
} }
worker! { drops_a_held_lock(shared: Lock, held: Event, forever: Event) {
    std::mem::forget(shared.lock()?);
    let ctx = procbox_native::context()?;
    // On the thread's list in front of the shared one.
    let own = ctx.lock()?;
    std::mem::forget(own.lock()?);
    drop(own);
    let others = (0..100).map(|_| ctx.lock()).collect::<Result<Vec<_>>>()?;
    held.set();
    forever.wait()?;
    drop(others);
    Ok(())
} }
/// Exit code of [`tries`] if it was refused.
pub(crate) const REFUSED: i32 = 42;
worker! { tries(what: String, with: String) {
    match attempt(&what, &with) {
        Ok(()) => Ok(()),
        Err(e) => match e.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::OutOfMemory => {
                std::process::exit(REFUSED)
            }
            _ => Err(Error::os("attempt", e)),
        },
    }
} }

/// Does something that may be forbidden.
fn attempt(what: &str, with: &str) -> std::io::Result<()> {
    use nix::libc;
    use std::fs::{File, OpenOptions};
    let answer = |answer: libc::c_long| {
        if answer < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    match what {
        "allocate" => {
            let mut bytes = Vec::<u8>::new();
            let size = with.parse().map_err(std::io::Error::other)?;
            bytes.try_reserve_exact(size)?;
            std::hint::black_box(&bytes);
            Ok(())
        }
        "read" if std::path::Path::new(with).is_dir() => std::fs::read_dir(with).map(drop),
        "read" => std::fs::read(with).map(drop),
        "write" => OpenOptions::new().append(true).create(true).open(with).map(drop),
        "truncate" => File::options().read(true).open(with).and_then(|_| {
            let path = std::ffi::CString::new(with)?;
            // SAFETY: it is a string that ends in a zero.
            answer(unsafe { libc::truncate(path.as_ptr(), 0) }.into())
        }),
        "remove" => std::fs::remove_file(with),
        "signal" => {
            let pid = with.parse().map_err(std::io::Error::other)?;
            // SAFETY: signal 0 is only a question.
            answer(unsafe { libc::kill(pid, 0) }.into())
        }
        "listen" => std::net::TcpListener::bind("127.0.0.1:0").map(drop),
        "send" => std::net::UdpSocket::bind("127.0.0.1:0").map(drop),
        "listen-on-a-name" => std::os::unix::net::UnixDatagram::unbound().map(drop),
        // SAFETY: it has no preconditions; the parent does not look.
        "trace" => answer(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) }),
        // SAFETY: it has no preconditions.
        "unshare" => answer(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into()),
        "clone-namespace" => {
            let flags = libc::CLONE_NEWUTS | libc::SIGCHLD;
            // SAFETY: as `fork`; a child, if there is one, ends at once.
            let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
            if pid == 0 {
                std::process::exit(1);
            }
            answer(pid)
        }
        // `ptrace` by the number of another ABI. A kernel without it says ENOSYS, so the filter has to.
        // SAFETY: an unknown call, or a question about this process.
        "x32" => answer(unsafe { libc::syscall(0x4000_0000 + 521, 0, 0, 0, 0) }),
        "thread" => {
            std::thread::spawn(|| ()).join().map_err(|_| std::io::Error::other("it panicked"))
        }
        _ => Err(std::io::Error::other(format!("{what}?"))),
    }
}

worker! { produces(queue: Queue<(u64, u64)>, who: u64, many: u64) {
    (0..many).try_for_each(|i| queue.put(&(who, i)))
} }
worker! { carries_forever(queue: Queue<(u64, Event)>, event: Event) {
    for i in 0.. { queue.put(&(i, event.clone()))?; }
    Ok(())
} }
worker! { echoes(pipe: Pipe<u64>) {
    loop {
        match pipe.recv() {
            Ok(n) => pipe.send(&(n + 1))?,
            Err(procbox_core::Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
} }
worker! { echoes_in_a_thread(pipe: Pipe<u64>) {
    let echo = std::thread::spawn(move || {
        while let Ok(n) = pipe.recv() {
            pipe.send(&(n + 1))?;
        }
        Ok(())
    });
    echo.join().unwrap_or(Err(Error::Closed))
} }
worker! { starts_daemon(pids: Queue<u32>, daemon_end: Pipe<u64>, forever: Event) {
    let ctx = procbox_native::context()?;
    let daemon = ctx.process(super::echoes::worker()).args((&daemon_end,)).daemon(true).start()?;
    pids.put(&daemon.pid()?)?;
    forever.wait().map(drop)
} }
worker! { starts_holder(pids: Queue<u32>, pipe: Pipe<u64>, ready: Event, never: Event) {
    let ctx = procbox_native::context()?;
    let p = ctx.process(holds_pipe::worker()).args((&pipe, &ready, &never)).start()?;
    pids.put(&p.pid()?)?;
    drop(pipe);
    never.wait().map(drop)
} }
worker! { holds_pipe(pipe: Pipe<u64>, ready: Event, never: Event) {
    ready.set();
    never.wait()?;
    drop(pipe);
    Ok(())
} }
worker! { produces_64(queue: Queue<()>, many: u64) {
    (0..many).try_for_each(|_| queue.raw().put(&[7; 64], &[], procbox_core::Wait::Forever))
} }
