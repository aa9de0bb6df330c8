//! Bare wasmtime, with the same module and settings as our sandbox: what starting a process there cannot be
//! faster than; and what each way to interrupt a guest costs it.

use procbox_benches::{Case, timed};
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};
use wasmtime::{
    Caller, Config, Engine, Extern, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Store, TypedFunc,
};

type Run = Box<dyn FnMut(u64) -> anyhow::Result<Duration>>;

/// The places of the pool, and what a freed one keeps: as in our sandbox.
pub(super) const PLACES: u32 = 64;
pub(super) const KEEP: usize = 4 << 20;
/// Steps of the loop of which an operation of `safety/preemption` consists.
const STEPS: u64 = 1_000_000;

pub(super) fn cases() -> Vec<Case> {
    let case = |group, contender, run| Case { group, contender, ops: None, run };
    let mut cases = Vec::new();
    let checks: [(_, fn(&mut Config)); 3] = [
        ("no checks", |_| {}),
        ("epochs", |config| {
            config.epoch_interruption(true);
        }),
        ("fuel", |config| {
            config.consume_fuel(true);
        }),
    ];
    for (contender, set) in checks {
        let run: Run = Box::new(move |n| bare(compute(set, n)));
        cases.push(case("safety/preemption", contender, run));
    }
    let module = crate::programs().map(|programs| programs.join("bench.wasm"));
    if let Some(module) = module {
        cases.push(case("spawn", "wasmtime", start(module)));
    }
    cases
}

/// The program is compiled for the first sample.
fn start(module: PathBuf) -> Run {
    let mut start: Option<Start> = None;
    Box::new(move |n| {
        let start = match &mut start {
            Some(start) => start,
            none => none.insert(bare(Start::new(&std::fs::read(&module)?))?),
        };
        timed(n, || bare(start.run()))
    })
}

pub(super) fn bare<T>(result: wasmtime::Result<T>) -> anyhow::Result<T> {
    result.map_err(|e| anyhow::anyhow!("wasmtime: {e:#}"))
}

/// A tight loop, by an engine with these checks.
struct Compute {
    store: Store<()>,
    run: TypedFunc<i64, i64>,
}

impl Compute {
    fn new(set: fn(&mut Config)) -> wasmtime::Result<Compute> {
        let mut config = Config::new();
        set(&mut config);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, wat::parse_str(LOOP)?)?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        // Where no fuel is counted this fails.
        let _ = store.set_fuel(u64::MAX);
        let instance = wasmtime::Instance::new(&mut store, &module, &[])?;
        let run = instance.get_typed_func(&mut store, "run")?;
        Ok(Compute { store, run })
    }
}

fn compute(set: fn(&mut Config), n: u64) -> wasmtime::Result<Duration> {
    let Compute { mut store, run } = Compute::new(set)?;
    let began = Instant::now();
    for _ in 0..n {
        std::hint::black_box(run.call(&mut store, STEPS as i64)?);
    }
    Ok(began.elapsed())
}

/// The loop of the worker `compute_many`, in the text format.
const LOOP: &str = r#"(module (func (export "run") (param $n i64) (result i64) (local $i i64) (local $sum i64)
  (loop $next
    (local.set $sum (i64.xor (i64.rotl (local.get $sum) (i64.const 5)) (local.get $i)))
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (br_if $next (i64.lt_u (local.get $i) (local.get $n))))
  (local.get $sum)))"#;

/// A worker's start, run and end, by wasmtime alone: a store with a pooled instance and stack, which can
/// be preempted, and imports of which the worker calls two.
struct Start {
    program: InstancePre<()>,
    worker: String,
}

/// What the export of the worker begins with; its place in the source comes after that.
const NOTHING: &str = "procbox_worker_bench::nothing@";

impl Start {
    fn new(module: &[u8]) -> wasmtime::Result<Start> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(PLACES)
            .total_memories(2 * PLACES)
            .total_gc_heaps(PLACES)
            .total_tables(PLACES)
            .total_stacks(PLACES)
            .table_elements(20_000)
            .max_memory_size(1 << 30)
            .linear_memory_keep_resident(KEEP)
            .table_keep_resident(KEEP)
            .pagemap_scan(wasmtime::Enabled::Auto)
            .async_stack_keep_resident(16 << 10);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_reservation(4 << 30)
            .max_wasm_stack(512 << 10)
            .async_stack_size(1 << 20)
            .epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, module)?;
        let mut linker: Linker<()> = Linker::new(&engine);
        // It has no arguments: none of zero bytes.
        linker.func_wrap(
            "procbox_1",
            "self_arguments",
            |mut caller: Caller<'_, ()>, at: i32| {
                let memory = caller.get_export("memory").and_then(Extern::into_memory);
                let written = memory.map(|memory| memory.write(&mut caller, at as usize, &[0; 8]));
                if matches!(written, Some(Ok(()))) { 0 } else { -1 }
            },
        )?;
        linker.func_wrap("procbox_1", "message_read", |_: i32, _: i32| 0)?;
        linker.define_unknown_imports_as_traps(&module)?;
        let mut exports = module.exports().map(|export| export.name().to_string());
        let worker = exports
            .find(|name| name.starts_with(NOTHING))
            .ok_or_else(|| wasmtime::Error::msg("no such worker"))?;
        Ok(Start { program: linker.instantiate_pre(&module)?, worker })
    }

    fn run(&self) -> wasmtime::Result<()> {
        let mut store = Store::new(self.program.module().engine(), ());
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let code = finished(async {
            let instance = self.program.instantiate_async(&mut store).await?;
            let worker = instance.get_typed_func::<i32, i32>(&mut store, &self.worker)?;
            worker.call_async(&mut store, 0).await
        })?;
        if code == 0 { Ok(()) } else { Err(wasmtime::Error::msg("the worker has failed")) }
    }
}

/// What a future comes to that never waits.
fn finished<T>(future: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(wasmtime::Error::msg("the worker waits")),
    }
}
