//! Programs that are components: what they have to export, and how a process of one runs.
//!
//! There are two kinds. One of the world `procbox:worker` has a function that is asked for workers by
//! name; one that exports `wasi:cli/run` is a command. A process is an instance, as of a core module. It
//! never has an image made of it: a component begins as it was built.

mod check;
mod serve;

pub(crate) use check::{imported, is_component};

use crate::check::printable;
use crate::limits::SEVERAL;
use crate::ops;
use crate::print::Stream;
use crate::state::State;
use crate::wasi::{self, RESOURCES};
use procbox_abi::mode;
use procbox_core::raw::WorkerInfo;
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, TypedFunc};

/// The export that is asked for workers.
const RUN: &str = "run";
/// The interface of a command; its version is behind it.
const COMMAND: &str = "wasi:cli/run@0.2.";
/// What is handed over in one call of the host, in bytes, at most: it is copied.
const HANDED_OVER: usize = 64 << 20;

/// Handles that a component may have of procbox's. The component model keeps a table of its own of them,
/// which is none of the tree's: so they are fewer than those of a core module.
const HANDLES: u32 = 64 << 10;

/// A function that is asked for a worker, with an input.
type Run = TypedFunc<(String, Vec<u8>), (Result<Vec<u8>, String>,)>;

/// A component in a pool, and where its exports are.
pub(crate) struct Loaded {
    instance: InstancePre<State>,
    run: Option<ComponentExportIndex>,
    command: Option<ComponentExportIndex>,
}

/// How a process of a component is entered.
pub(crate) enum Entrance<'a> {
    /// As a command.
    Command,
    /// By the worker of this name, in this mode.
    Worker(&'a str, i32),
}

impl Loaded {
    /// Links a component.
    ///
    /// # Errors
    /// Why it is no program, in one line.
    pub(crate) fn new(component: &Component, linker: &Linker<State>) -> Result<Loaded, String> {
        let instance = linker.instantiate_pre(component).map_err(|e| in_one_line(&e))?;
        let engine = component.engine();
        let ty = component.component_type();
        let mut run = None;
        let mut command = None;
        for (name, item) in ty.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(function) if name == RUN => {
                    if !is_run(&function) {
                        return Err(format!(
                            "its `{RUN}` is another function than that of the world \
                             `procbox:worker/worker`: run: func(worker: string, input: list<u8>) \
                             -> result<list<u8>, string>"
                        ));
                    }
                    run = component.get_export_index(None, name);
                }
                ComponentItem::ComponentInstance(interface) if name.starts_with(COMMAND) => {
                    let run = interface.exports(engine).find(|(name, _)| *name == RUN);
                    let run = run.map(|(_, item)| item.ty);
                    if !matches!(&run, Some(ComponentItem::ComponentFunc(run)) if is_command(run)) {
                        return Err(format!("its `{name}` has no `{RUN}: func() -> result`"));
                    }
                    command = component
                        .get_export_index(None, name)
                        .and_then(|interface| component.get_export_index(Some(&interface), RUN));
                }
                _ => {}
            }
        }
        if run.is_none() && command.is_none() {
            return Err(format!(
                "a component of another world: it exports neither `{RUN}` of `procbox:worker/worker` \
                 nor `wasi:cli/run`"
            ));
        }
        Ok(Loaded { instance, run, command })
    }

    /// Whether it is a command.
    pub(crate) fn is_command(&self) -> bool {
        self.command.is_some()
    }

    /// Its workers, as they are listed: the one that answers to every name.
    pub(crate) fn workers(&self) -> Vec<WorkerInfo> {
        let signature = "run(input: Bytes) -> Result<Bytes, String>".to_string();
        let any = || WorkerInfo::new(RUN.to_string(), Some(signature)).of_any_name();
        self.run.map(|_| any()).into_iter().collect()
    }

    /// How many memories a process of it has.
    pub(crate) fn memories(&self) -> usize {
        let needed = self.instance.component().resources_required();
        needed.map_or(SEVERAL, |needed| needed.num_memories as usize)
    }

    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        self.instance.component().engine()
    }

    /// Makes an instance in a store and enters it: the process's status.
    ///
    /// # Errors
    /// A trap, an exit, or why there is no instance.
    pub(crate) async fn call(
        &self,
        store: &mut Store<State>,
        entrance: Entrance<'_>,
    ) -> wasmtime::Result<i32> {
        store.set_hostcall_fuel(HANDED_OVER);
        store.data_mut().table.allow(HANDLES);
        // Those, lent ones, and what it has of WASI: more of them would be a trap.
        store.set_max_component_handles(2 * HANDLES as usize + RESOURCES);
        let instance = self.instance.instantiate_async(&mut *store).await?;
        let missing = || wasmtime::Error::msg("it exports no such function");
        match entrance {
            Entrance::Command => {
                let command = self.command.ok_or_else(missing)?;
                let command: TypedFunc<(), (Result<(), ()>,)> =
                    instance.get_typed_func(&mut *store, command)?;
                let (ended,) = command.call_async(store, ()).await?;
                Ok(i32::from(ended.is_err()))
            }
            Entrance::Worker(name, mode) => {
                let run = self.run.ok_or_else(missing)?;
                let run: Run = instance.get_typed_func(&mut *store, run)?;
                let ended = match mode {
                    mode::SERVE => serve::serve(store, &run, name).await?,
                    _ => call(store, &run, name).await?,
                };
                let Err(why) = ended else { return Ok(0) };
                // If stderr is gone there is nobody to tell.
                let lines: Vec<_> = why.lines().map(procbox_core::printable).collect();
                let line = format!("error: {}\n", lines.join("\n  "));
                let _ = wasi::print(store.data(), Stream::Stderr, line).await;
                Ok(1)
            }
        }
    }
}

/// Why a component cannot be linked: what of it, and what about that.
fn in_one_line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    printable(&causes.join(": "))
}

/// Whether it is the function of a command.
fn is_command(function: &ComponentFunc) -> bool {
    let results: Vec<Type> = function.results().collect();
    let gives = matches!(&results[..], [Type::Result(result)]
        if result.ok().is_none() && result.err().is_none());
    gives && function.params().len() == 0
}

/// Whether it is the function of the world.
fn is_run(function: &ComponentFunc) -> bool {
    let is_bytes = |ty: &Type| matches!(ty, Type::List(list) if matches!(list.ty(), Type::U8));
    let parameters: Vec<Type> = function.params().map(|(_, ty)| ty).collect();
    let results: Vec<Type> = function.results().collect();
    let takes = matches!(&parameters[..], [Type::String, input] if is_bytes(input));
    let gives = matches!(&results[..], [Type::Result(result)]
        if result.ok().as_ref().is_some_and(is_bytes) && matches!(result.err(), Some(Type::String)));
    takes && gives
}

/// Calls a worker once, with the process's arguments. Its result is nobody's.
async fn call(
    store: &mut Store<State>,
    run: &Run,
    name: &str,
) -> wasmtime::Result<Result<(), String>> {
    let state = store.data();
    let input = match procbox_core::runner::byte_string(&state.kept.body) {
        // Without arguments.
        _ if state.kept.body.is_empty() => Vec::new(),
        Ok(input) => input.to_vec(),
        Err(e) => return Ok(Err(format!("its arguments do not begin with bytes: {e}"))),
    };
    state.work.bytes(input.len());
    let (ended,) = run.call_async(&mut *store, (name.to_string(), input)).await?;
    Ok(ended.map(|_| ()))
}

/// A failure that is the process's end, as the guest would have said it itself.
fn failure(error: ops::Error) -> String {
    match error {
        ops::Error::Failed(error) => error.to_string(),
        ops::Error::BadHandle => "a queue of its pool is none".into(),
    }
}
