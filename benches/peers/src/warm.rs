//! Bare wasmtime with an interpreter that begins after its start: what a script in a process of its own cannot be
//! faster than. An instance in a pool, of a module or component that is linked before, with wasmtime's own WASI:
//! no limits but those of the pool, nobody who preempts it, no fiber.

use crate::wasmtime::{KEEP, PLACES, bare};
use procbox_benches::{Case, INTERPRETERS, Interpreter, timed};
use std::path::Path;
use wasmtime::component::{Component, ResourceTable};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Result, Store,
};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::bindings::sync::CommandPre;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// How large an image is mapped, as in our sandbox.
const IMAGE: u64 = 256 << 20;
/// Bytes of output that a script may print.
const OUTPUT: usize = 64 << 10;

pub(super) fn cases(programs: Option<&Path>) -> Vec<Case> {
    let there = |it: Interpreter| it.path(programs?).map(|path| (it, path));
    let case = |(it, path): (Interpreter, std::path::PathBuf)| {
        let mut program = None;
        let run = move |n| {
            let program = match &mut program {
                Some(program) => program,
                none => none.insert(bare(Program::new(&path))?),
            };
            timed(n, || {
                let output = bare(program.run(it.script))?;
                anyhow::ensure!(output == it.prints.as_bytes(), "{}: {output:?}", it.file);
                Ok(())
            })
        };
        Case { group: it.group, contender: "wasmtime", ops: None, run: Box::new(run) }
    };
    INTERPRETERS.into_iter().filter_map(there).map(case).collect()
}

/// What a component's process has.
struct Host {
    table: ResourceTable,
    wasi: WasiCtx,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

enum Program {
    /// With its image, where procbox has made one.
    Module(Engine, InstancePre<WasiP1Ctx>),
    Component(Engine, CommandPre<Host>),
}

impl Program {
    fn new(path: &Path) -> Result<Program> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(PLACES)
            .total_core_instances(16 * PLACES)
            .total_memories(PLACES)
            .total_tables(16 * PLACES)
            .table_elements(20_000)
            .max_memory_size(1 << 30)
            .linear_memory_keep_resident(KEEP)
            .table_keep_resident(KEEP)
            .pagemap_scan(wasmtime::Enabled::Auto);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_reservation(4 << 30)
            .memory_guaranteed_dense_image_size(IMAGE)
            .epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let bytes = std::fs::read(path)?;
        // The version of a component is 0d, and its layer 1.
        if bytes.get(4) != Some(&1) {
            let component = Component::new(&engine, bytes)?;
            let mut linker = wasmtime::component::Linker::new(&engine);
            wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
            let program = CommandPre::new(linker.instantiate_pre(&component)?)?;
            return Ok(Program::Component(engine, program));
        }
        let module = Module::new(&engine, bytes)?;
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_sync(&mut linker, |wasi: &mut WasiP1Ctx| wasi)?;
        linker.define_unknown_imports_as_traps(&module)?;
        Ok(Program::Module(engine, linker.instantiate_pre(&module)?))
    }

    /// What a script prints, in an instance of its own.
    fn run(&self, script: &'static str) -> Result<Vec<u8>> {
        let output = MemoryOutputPipe::new(OUTPUT);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdin(MemoryInputPipe::new(script)).stdout(output.clone());
        match self {
            Program::Module(engine, program) => {
                let mut store = Store::new(engine, wasi.build_p1());
                store.set_epoch_deadline(u64::MAX / 2);
                let instance = program.instantiate(&mut store)?;
                let resume = instance.get_typed_func::<(), ()>(&mut store, "procbox_resume")?;
                match resume.call(&mut store, ()) {
                    Err(e) if e.downcast_ref::<I32Exit>().is_some_and(|exit| exit.0 == 0) => {}
                    ended => ended?,
                }
            }
            Program::Component(engine, program) => {
                let host = Host { table: ResourceTable::new(), wasi: wasi.build() };
                let mut store = Store::new(engine, host);
                store.set_epoch_deadline(u64::MAX / 2);
                let command = program.instantiate(&mut store)?;
                match command.wasi_cli_run().call_run(&mut store) {
                    Err(e) if e.downcast_ref::<I32Exit>().is_some_and(|exit| exit.0 == 0) => {}
                    ended => {
                        let _ = ended?;
                    }
                }
            }
        }
        Ok(output.contents().to_vec())
    }
}
