//! What each mechanism of safety costs, by public options: the same operation without it and with it, in
//! one run. The first contender of a group is the one without. What no option switches off is beside
//! bare wasmtime, or beside a lock that is as robust: `benches/peers`.

use crate::ours::{pipe, pool, pool_fresh, spawn};
use crate::{Case, timed};
use procbox_core::observe::Deadlocks;
use procbox_core::{Context, Queue};
use procbox_host::{Grants, Program, Sandbox, SandboxBuilder, TreeLimits};
use procbox_native::{Confinement, Native};
use std::path::Path;
use std::time::Duration;

type Run = fn(&Context, u64) -> anyhow::Result<Duration>;

/// Long enough that no benchmark is ended by it.
const LONG: Duration = Duration::from_secs(3600);
/// Fuel for as long.
const FUEL: u64 = 1 << 62;
/// Steps of the loop of which an operation of `safety/fuel` consists.
const STEPS: u64 = 1_000_000;

pub(super) fn cases(programs: &Path) -> anyhow::Result<Vec<Case>> {
    let program = Program::wasm(programs.join("bench.wasm"))?;
    let bench = || procbox_native::Program::open(programs.join("bench"));
    let sandbox = |set: fn(SandboxBuilder) -> SandboxBuilder, grants: Grants| {
        set(Sandbox::builder()).build()?.context_with(program.clone(), grants)
    };
    let plain = sandbox(|it| it, Grants::default())?;
    let unwatched = sandbox(|it| it.deadlocks(Deadlocks::Ignore), Grants::default())?;
    let limited = sandbox(|it| it.tree(TreeLimits::new().cpu_time(LONG)), Grants::default())?;
    let timed_out = sandbox(|it| it.tree(TreeLimits::new().time(LONG)), Grants::default())?;
    let fueled = sandbox(|it| it.fuel(FUEL), Grants::default())?;
    let granted = sandbox(|it| it, Grants::default().dir_read_only(programs, "/programs"))?;
    let native = Native::builder().program(bench()?).build()?;
    let native_unwatched =
        Native::builder().program(bench()?).deadlocks(Deadlocks::Ignore).build()?;
    let mut cases = Vec::new();
    let mut add = |group, contender, ctx: &Context, run: Run| {
        let ctx = ctx.clone();
        cases.push(Case { group, contender, ops: None, run: Box::new(move |n| run(&ctx, n)) });
    };
    add("safety/deadlocks/native", "ignored", &native_unwatched, pipe);
    add("safety/deadlocks/native", "found", &native, pipe);
    add("safety/deadlocks/sandbox", "ignored", &unwatched, pipe);
    add("safety/deadlocks/sandbox", "found", &plain, pipe);
    add("safety/limits", "as built", &plain, spawn);
    add("safety/limits", "CPU time of a tree", &limited, spawn);
    add("safety/limits", "time of a tree", &timed_out, spawn);
    add("safety/fuel", "not counted", &plain, compute);
    add("safety/fuel", "counted", &fueled, compute);
    add("safety/files", "nothing granted", &plain, spawn);
    add("safety/files", "a directory", &granted, spawn);
    add("safety/fresh/native", "reused", &native, pool);
    add("safety/fresh/native", "fresh per task", &native, pool_fresh);
    add("safety/fresh/sandbox", "reused", &plain, pool);
    add("safety/fresh/sandbox", "fresh per task", &plain, pool_fresh);
    add("safety/confine", "not confined", &native, spawn);
    // Not all kernels offer it all.
    for (contender, confinement) in [
        ("limits", Confinement::new().open_files(64)),
        ("files", Confinement::new().files()),
        ("hardened", Confinement::new().hardened()),
        ("all of it", Confinement::new().open_files(64).files().own_signals().hardened()),
    ] {
        if let Ok(ctx) = Native::builder().program(bench()?).confine(confinement).build() {
            add("safety/confine", contender, &ctx, spawn);
        }
    }
    cases.extend(compile(&program));
    Ok(cases)
}

fn compute(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let took: Queue<u64> = ctx.queue(1)?;
    let p = ctx.process("compute_many").args((n * STEPS, &took)).start()?;
    let nanos = took.get()?;
    p.join()?;
    Ok(Duration::from_nanos(nanos))
}

/// A context for a program that the cache has, and for one that a child compiles.
fn compile(program: &Program) -> [Case; 2] {
    [("from the cache", true, 10), ("in a child", false, 1)].map(|(contender, cached, ops)| {
        let program = program.clone();
        let run = move |n| {
            let sandbox = Sandbox::builder().max_processes(1).cache(cached).build()?;
            // The first of all may have to compile it for the cache.
            drop(sandbox.context(program.clone())?);
            timed(n, || Ok(sandbox.context(program.clone()).map(drop)?))
        };
        Case { group: "safety/compile", contender, ops: Some(ops), run: Box::new(run) }
    })
}
