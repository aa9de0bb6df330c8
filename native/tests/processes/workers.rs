//! The workers that the cases start. `#[worker]` writes what `worker!` does here.

use procbox_core::{
    Call, Event, Lock, Message, Outcome, Pipe, Process, Queue, Result, Semaphore, Sender, Worker,
    end_of, end_of_result,
};
use procbox_native::linkme::distributed_slice;
use procbox_native::{WORKERS, WorkerEntry};

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
            fn body($($arg: $type),*) -> Result<()> $body
        }
    };
}

worker! { nothing() { Ok(()) } }
worker! { exits(code: i32) { std::process::exit(code) } }
worker! { panics() { panic!("as it should") } }
worker! { fails() { Err(procbox_core::Error::Invalid("as it should".into())) } }
worker! { aborts() { std::process::abort() } }
worker! { ignores_its_limit() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed.
    let _ = unsafe { signal(Signal::SIGXCPU, SigHandler::SigIgn) };
    loop {
        std::hint::spin_loop();
    }
} }
worker! { overflows() {
    #[inline(never)]
    fn deeper(n: u64) -> u64 {
        let room = std::hint::black_box([n; 64]);
        if n == u64::MAX { 0 } else { deeper(n + 1) + room[5] }
    }
    std::process::exit(deeper(0) as i32)
} }
worker! { writes_to_null() {
    // SAFETY: none: the crash is what is tested.
    unsafe { std::ptr::without_provenance_mut::<u8>(std::hint::black_box(8)).write_volatile(1) };
    Ok(())
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
worker! { holds_permit(semaphore: Semaphore, held: Event, forever: Event) {
    semaphore.acquire()?;
    held.set();
    forever.wait().map(drop)
} }
worker! { counts(lock: Lock, cell: Queue<u64>, times: u64) {
    for _ in 0..times {
        let _guard = lock.lock()?;
        let n = cell.try_get()?;
        cell.try_put(&(n + 1))?;
    }
    Ok(())
} }
worker! { produces(queue: Queue<(u64, u64)>, who: u64, many: u64) {
    (0..many).try_for_each(|i| queue.put(&(who, i)))
} }
worker! { produces_forever(queue: Queue<(u64, u64)>, who: u64, carried: Event) {
    for i in 0.. {
        queue.put(&(who, i))?;
        if i % 7 == 0 { carried.is_set(); }
    }
    Ok(())
} }
worker! { carries_forever(queue: Queue<(u64, Event)>, event: Event) {
    for i in 0.. { queue.put(&(i, event.clone()))?; }
    Ok(())
} }
worker! { consumes(queue: Queue<(u64, u64)>, sums: Queue<u64>) {
    let mut sum = 0;
    loop {
        match queue.get() {
            Ok((_, i)) => sum += i,
            Err(procbox_core::Error::Closed) => return sums.put(&sum),
            Err(e) => return Err(e),
        }
    }
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
worker! { echoes_blobs(input: Queue<Vec<u8>>, output: Queue<Vec<u8>>) {
    // As a string of bytes: element by element would measure serde.
    let mut message = Message::default();
    input.raw().get(&mut message, procbox_core::Wait::Forever)?;
    output.raw().put(&message.bytes, &[], procbox_core::Wait::Forever)
} }
worker! { answers_through(inbox: Queue<(Sender<String>, Event)>) {
    let (sender, done) = inbox.get()?;
    sender.send("hello")?;
    done.set();
    Ok(())
} }
worker! { parent_of_two(results: Queue<(String, u32, u32)>) {
    let ctx = procbox_native::context()?;
    let me = ctx.current_process();
    results.put(&(me.name.clone(), me.pid, me.parent.map_or(0, |(pid, _)| pid)))?;
    let two: Result<Vec<Process>> = (0..2)
        .map(|_| ctx.process(super::child_of_one::worker()).args((&results,)).start()).collect();
    // Not joined here: the end of the worker does that.
    two.map(drop)
} }
worker! { child_of_one(results: Queue<(String, u32, u32)>) {
    let me = procbox_native::context()?.current_process();
    results.put(&(me.name, me.pid, me.parent.map_or(0, |(pid, _)| pid)))
} }
worker! { starts_daemon(pids: Queue<u32>, daemon_end: Pipe<u64>, forever: Event) {
    let ctx = procbox_native::context()?;
    let daemon = ctx.process(super::echoes::worker()).args((&daemon_end,)).daemon(true).start()?;
    pids.put(&daemon.pid()?)?;
    forever.wait().map(drop)
} }
worker! { starts_survivor(pids: Queue<u32>, ready: Event, go: Event, end: Queue<u32>) {
    let ctx = procbox_native::context()?;
    let child = ctx.process(super::survives::worker()).args((&ready, &go, &end)).start()?;
    pids.put(&child.pid()?)?;
    child.join().map(drop)
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
worker! { survives(ready: Event, go: Event, end: Queue<u32>) {
    ready.set();
    go.wait()?;
    end.put(&7)
} }
worker! { produces_64(queue: Queue<()>, many: u64) {
    (0..many).try_for_each(|_| queue.raw().put(&[7; 64], &[], procbox_core::Wait::Forever))
} }

/// A worker for pools: it returns something.
pub(crate) mod squares {
    use super::*;

    pub(crate) fn worker() -> Worker<(u64,), u64, ()> {
        Worker::new("squares", ())
    }

    // SAFETY: as above.
    #[unsafe(link_section = procbox_abi::section!())]
    static ABOUT: [u8; 11] = *b"squares\tfn\n";
    #[distributed_slice(WORKERS)]
    #[linkme(crate = procbox_native::linkme)]
    static ENTRY: WorkerEntry = WorkerEntry { name: "squares", about: &ABOUT, function: run };

    fn run(call: Call<'_>, result: &mut Message) -> Outcome {
        let (n,): (u64,) = call.arguments()?;
        assert!(n != 13, "thirteen");
        end_of(n * n, result)
    }
}
