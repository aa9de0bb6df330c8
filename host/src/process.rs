//! A sandboxed process: one store, one instance, one task; and the outside's view of it.

use crate::context::HostContext;
use crate::interrupt::Interrupt;
use crate::lock::{Holder, HostLock};
use crate::object::{Object, Table};
use crate::queue::Body;
use crate::runtime::{Budget, Runtime, Sleep, lock};
use crate::sandbox::SandboxInner;
use crate::semaphore::HostSemaphore;
use crate::trap;
use crate::wait_list::WaitList;
use crate::waiting;
use crate::wasi;
use procbox_core::{
    Entry, Error, ExitStatus, Identity, Input, Limit, ProcessSpec, RawProcess, Result, Wait, signal,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use wasmtime::{Memory, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::p1::WasiP1Ctx;

/// The most handles that one process may have.
const MOST_HANDLES: u32 = 1 << 20;

/// A process as others see it.
pub(crate) struct HostProcess {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) identity: Identity,
    pub(crate) interrupt: Interrupt,
    fate: Mutex<Fate>,
    ended: WaitList,
    /// What it printed, if that is kept.
    pub(crate) output: Arc<Mutex<Vec<u8>>>,
}

#[derive(Default)]
struct Fate {
    status: Option<ExitStatus>,
    /// It is to end with this, at the next opportunity.
    doom: Option<ExitStatus>,
    /// Wakes its task.
    waker: Option<Waker>,
}

impl HostProcess {
    /// Decides how it ends, unless that is decided. It ends when its task is next polled.
    pub(crate) fn doom(&self, status: ExitStatus) {
        let waker = {
            let mut fate = lock(&self.fate);
            if fate.status.is_some() || fate.doom.is_some() {
                return;
            }
            fate.doom = Some(status);
            fate.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        // If it is running right now it has to give up its thread first.
        self.runtime.preempt();
    }

    pub(crate) fn status_now(&self) -> Option<ExitStatus> {
        lock(&self.fate).status
    }

    pub(crate) fn ended(&self) -> &WaitList {
        &self.ended
    }

    pub(crate) async fn joined(&self) -> Result<ExitStatus> {
        waiting::until(&self.runtime, &self.ended, || self.status_now().map(Ok)).await
    }

    fn finish(&self, status: ExitStatus) {
        let mut fate = lock(&self.fate);
        fate.status = Some(status);
        fate.waker = None;
        drop(fate);
        self.ended.wake_ordered(usize::MAX);
    }
}

impl RawProcess for HostProcess {
    fn pid(&self) -> u32 {
        self.identity.pid
    }

    fn join(&self, wait: Wait) -> Result<ExitStatus> {
        waiting::block(&self.runtime, wait, || self.status_now().map(Ok), || self.joined())
    }

    fn status(&self) -> Option<ExitStatus> {
        self.status_now()
    }

    fn terminate(&self) {
        self.doom(ExitStatus::signaled(signal::TERM));
    }

    fn kill(&self) {
        self.doom(ExitStatus::signaled(signal::KILL));
    }

    fn interrupt(&self) {
        if !self.interrupt.raise() {
            self.doom(ExitStatus::signaled(signal::INT));
        }
    }

    fn output(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.output))
    }
}

/// What a process's store holds: all that the process has.
pub(crate) struct State {
    pub(crate) process: Arc<HostProcess>,
    pub(crate) context: Arc<HostContext>,
    pub(crate) spec: ProcessSpec,
    pub(crate) table: Table,
    /// A message that waits to be read by the guest: its bytes and objects.
    pub(crate) stash: (Body, Vec<Object>),
    /// Locks whose handles were closed while this process may have held them.
    pub(crate) orphans: Vec<Arc<HostLock>>,
    /// Permits taken and not given back.
    pub(crate) permits: Vec<(Arc<HostSemaphore>, usize)>,
    /// Processes started by this one.
    pub(crate) children: Vec<Arc<HostProcess>>,
    pub(crate) memory: Option<Memory>,
    pub(crate) limits: StoreLimits,
    /// Made at the first call that needs it: many workers never do.
    wasi: Option<WasiP1Ctx>,
    _alive: Alive,
}

impl State {
    pub(crate) fn holder(&self) -> Holder {
        Holder::process(self.process.identity.pid)
    }

    pub(crate) fn wasi(&mut self) -> &mut WasiP1Ctx {
        let State { context, spec, process, .. } = self;
        self.wasi.get_or_insert_with(|| wasi::context(context, spec, process))
    }
}

impl Drop for State {
    /// What it held comes back, and its daemons go.
    fn drop(&mut self) {
        let me = self.holder();
        for object in self.table.drain() {
            if let Object::Lock(lock) = object {
                lock.abandon(me);
            }
        }
        self.orphans.iter().for_each(|lock| lock.abandon(me));
        for (semaphore, permits) in self.permits.drain(..) {
            semaphore.take_back(permits);
        }
        for child in self.children.iter().filter(|c| c.identity.daemon) {
            child.doom(ExitStatus::signaled(signal::TERM));
        }
    }
}

/// Counts a live process for as long as its store is there.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>, most: usize) -> Result<Alive> {
        let room = count
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| (n < most).then_some(n + 1));
        match room {
            Ok(_) => Ok(Alive(count.clone())),
            Err(_) => {
                Err(Error::Exhausted(format!("room for more than {most} sandboxed processes")))
            }
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Starts a process of the context's program. What it prints, if that is kept, goes to `output`.
pub(crate) fn start(
    context: &Arc<HostContext>,
    mut spec: ProcessSpec,
    output: Arc<Mutex<Vec<u8>>>,
) -> Result<Arc<HostProcess>> {
    let sandbox = &context.sandbox;
    let runtime = &sandbox.runtime;
    let export = context.program.export_of(&spec.entry)?;
    let objects = Object::from_handles(spec.handles(), runtime)?;
    let alive = Alive::new(&sandbox.alive, sandbox.max_processes)?;
    spec.identity.pid = sandbox.next_pid();
    let process = Arc::new(HostProcess {
        runtime: runtime.clone(),
        identity: spec.identity.clone(),
        interrupt: Interrupt::new(),
        fate: Mutex::new(Fate::default()),
        ended: WaitList::new(),
        output,
    });
    sandbox.born(&process);
    let mode = matches!(spec.entry, Entry::Serve(_)) as i32;
    let deadline = spec.timeout.map_or(Wait::Forever, Wait::AtMost).deadline(&**runtime.clock());
    let cpu_time = spec.cpu_time;
    let body = std::mem::take(&mut spec.message.bytes).as_slice().into();
    spec.message.handles.clear();
    let state = State {
        process: process.clone(),
        context: context.clone(),
        spec,
        table: Table::new(MOST_HANDLES),
        stash: (body, objects),
        orphans: Vec::new(),
        permits: Vec::new(),
        children: Vec::new(),
        memory: None,
        limits: StoreLimitsBuilder::new().memory_size(sandbox.memory).build(),
        wasi: None,
        _alive: alive,
    };
    let task = Task {
        run: Some(Box::pin(run(state, export, mode))),
        process: process.clone(),
        sandbox: Arc::downgrade(sandbox),
        timeout: deadline.instant().map(|_| runtime.sleep_until(deadline)),
        cpu_time: cpu_time.and_then(|limit| runtime.budget(limit)),
    };
    runtime.spawn(process.identity.pid, task);
    Ok(process)
}

/// How a program's entry is called.
#[derive(Clone, Debug)]
pub(crate) enum Export {
    Main,
    Worker(String),
}

/// The whole life of a process.
async fn run(state: State, export: Export, mode: i32) -> ExitStatus {
    let sandbox = state.context.sandbox.clone();
    let prepared = state.context.program.clone();
    let cpu_time = state.spec.cpu_time;
    let mut store = Store::new(&sandbox.engine, state);
    store.limiter(|state| &mut state.limits);
    let mut out_of_fuel = Limit::Fuel;
    let ended = async {
        out_of_fuel = sandbox.runtime.meter(&mut store, sandbox.fuel, cpu_time)?;
        let instance = prepared.instance.instantiate_async(&mut store).await?;
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory = memory;
        match export {
            Export::Main => {
                let main = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
                main.call_async(&mut store, ()).await.map(|()| 0)
            }
            Export::Worker(name) => {
                let worker = instance.get_typed_func::<i32, i32>(&mut store, &name)?;
                worker.call_async(&mut store, mode).await
            }
        }
    }
    .await;
    let status = trap::status(ended, out_of_fuel);
    if let Some(message) = status.message
        && !store.data().context.grants.is_quiet()
    {
        wasi::complain(&store.data().process.identity.name, &message);
    }
    status.status
}

/// The task of a process: runs it until it ends, is ended, or is out of time.
struct Task {
    run: Option<Pin<Box<dyn Future<Output = ExitStatus> + Send>>>,
    process: Arc<HostProcess>,
    sandbox: Weak<SandboxInner>,
    timeout: Option<Sleep>,
    cpu_time: Option<Budget>,
}

impl Task {
    /// Runs the guest until it yields, waits or ends; how the process has ended, if it has.
    fn run(&mut self, cx: &mut Context<'_>) -> Option<ExitStatus> {
        let run = self.run.as_mut()?;
        let polled = match &mut self.cpu_time {
            None => run.as_mut().poll(cx),
            Some(budget) => budget.spend(|| run.as_mut().poll(cx)),
        };
        match polled {
            Poll::Ready(status) => Some(status),
            Poll::Pending if self.cpu_time.as_ref().is_some_and(Budget::is_spent) => {
                Some(ExitStatus::limited(Limit::CpuTime))
            }
            Poll::Pending => None,
        }
    }

    fn end(&self, status: ExitStatus) {
        if let Some(sandbox) = self.sandbox.upgrade() {
            sandbox.dead(self.process.identity.pid);
        }
        self.process.finish(status);
    }

    /// How it has to end now, if it has to.
    fn doomed(&mut self, cx: &mut Context<'_>) -> Option<ExitStatus> {
        let mut fate = lock(&self.process.fate);
        if fate.doom.is_some() {
            return fate.doom;
        }
        if fate.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            fate.waker = Some(cx.waker().clone());
        }
        drop(fate);
        match self.timeout.as_mut().map(|timeout| Pin::new(timeout).poll(cx)) {
            Some(Poll::Ready(())) => Some(ExitStatus::limited(Limit::WallClock)),
            _ => None,
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.run.is_none() {
            return Poll::Ready(());
        }
        let Some(status) = self.doomed(cx).or_else(|| self.run(cx)) else {
            return Poll::Pending;
        };
        // First the store goes, and with it what the process held; then those who wait are told.
        self.run = None;
        self.end(status);
        Poll::Ready(())
    }
}

impl Drop for Task {
    /// A runtime that goes takes its processes with it.
    fn drop(&mut self) {
        if self.run.take().is_some() {
            self.end(ExitStatus::signaled(signal::KILL));
        }
    }
}

/// The standard input that a spec asks for, as bytes; `None` for the host's own.
pub(crate) fn input_bytes(spec: &mut ProcessSpec) -> Option<Vec<u8>> {
    match &mut spec.stdin {
        Input::Inherit => None,
        Input::Null => Some(Vec::new()),
        Input::Bytes(bytes) => Some(std::mem::take(bytes)),
    }
}
